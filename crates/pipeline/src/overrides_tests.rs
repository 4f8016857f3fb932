//! What a customer's file makes of silver tables, and what it is told about its mistakes.

#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::customer::Customer;
use crate::load::{Pipeline, PipelineFiles};

const ORDERS: &str = r#"kind = "cleanse"
description = "An order"
source = "orders"
key = ["order_id"]
null_markers = ["none"]
columns = [
    { name = "order_id", type = "long", id = true, description = "x" },
    { name = "ordered", type = "timestamp", formats = ["%d/%m/%Y"], date_key = true, description = "x" },
    { name = "status", type = "text", known_values = ["open"], values = { "o" = "open" }, description = "x" },
    { name = "status_id", type = "long", hash_of = "status", description = "x" },
]

[[rules]]
name = "is_open"
expression = "status = 'open'"
severity = "warn"

[[rules]]
name = "has_date"
expression = "ordered IS NOT NULL"
severity = "reject"
"#;

fn pipeline() -> Pipeline {
    let column = |name: &str| format!("[[columns]]\nname = \"{name}\"\ndescription = \"x\"\n");
    let source = |columns: &[&str]| {
        let columns: String = columns.iter().map(|name| column(name)).collect();
        format!("description = \"x\"\npatterns = [\"x*\"]\n{columns}")
    };
    let lines = "kind = \"cleanse\"\ndescription = \"x\"\nsource = \"lines\"\ncolumns = [\
                 { name = \"order_id\", type = \"long\", description = \"x\" }, \
                 { name = \"note\", type = \"text\", description = \"x\" }]";
    let counts =
        "kind = \"query\"\ndescription = \"x\"\ncolumns = [{ name = \"n\", type = \"long\", description = \"x\" }]";
    let files = [
        ("pipeline.toml", "name = \"shop\"\ndescription = \"x\"".to_owned()),
        ("bronze/orders.toml", source(&["order_id", "ordered", "status"])),
        ("bronze/lines.toml", source(&["order_id", "note"])),
        ("silver/orders.toml", ORDERS.to_owned()),
        ("silver/lines.toml", lines.to_owned()),
        ("silver/counts.toml", counts.to_owned()),
        ("silver/counts.sql", "SELECT count(*) AS n FROM silver.orders".to_owned()),
    ];
    Pipeline::load(&PipelineFiles::from(files.map(|(file, text)| (file.to_owned(), text)))).unwrap()
}

/// The pipeline of a customer with these lines; the first is line 2.
fn own(text: &str) -> Result<Pipeline, DefinitionError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("acme.toml");
    std::fs::write(&path, format!("source = \"drop\"\n{text}\n")).unwrap();
    pipeline().for_customer(&Customer::read(&path)?)
}

fn cleanse<'p>(pipeline: &'p Pipeline, table: &str) -> &'p Cleanse {
    match &pipeline.table(&TableName::new(Layer::Silver, table)).unwrap().definition {
        Definition::Cleanse(cleanse) => cleanse,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_pipeline_is_told_from_others_by_what_its_tables_and_sources_are() {
    let hash = |text: &str| own(text).unwrap().hash;
    let renamed = "[silver.orders]\nnull_markers = [\"-\"]";
    let required = "[sources.orders]\nrequired = true";
    let hashes = [pipeline().hash, hash(renamed), hash(required), hash(&format!("{required}\n{renamed}"))];
    for (place, one) in hashes.iter().enumerate() {
        assert!(!hashes[..place].contains(one), "{place}");
    }
    assert_eq!(hash(&format!("# A remark\n{renamed}")), hash(renamed), "remarks beside the tables say nothing");
    assert_eq!(pipeline().hash, pipeline().hash);
}

/// The tables whose build keys change.
fn changed(text: &str) -> Vec<String> {
    let (before, after) = (pipeline(), own(text).unwrap());
    let pairs = before.tables.iter().zip(&after.tables);
    pairs.filter(|(before, after)| before.text != after.text).map(|(table, _)| table.name.table.clone()).collect()
}

#[test]
fn lists_are_added_to_and_options_replaced() {
    let text = r#"
        [silver.orders]
        null_markers = ["n/a"]
        [silver.orders.columns.ordered]
        formats = ["%m/%d/%Y"]
        required = true
        null_markers = ["never"]
        [silver.orders.columns.status]
        values = { "Offen" = "open", "o" = "closed" }
        known_values = ["closed"]
        [silver.orders.columns.order_id]
        accept = ["thousands_separator"]
    "#;
    let own = own(text).unwrap();
    let orders = cleanse(&own, "orders");
    assert_eq!(orders.null_markers, ["none", "n/a"]);
    let [id, ordered, status, _] = orders.columns.as_slice() else { panic!("{orders:?}") };
    assert_eq!(id.accept, [Accept::ThousandsSeparator]);
    assert_eq!((&ordered.formats, &ordered.null_markers), (&vec!["%m/%d/%Y".to_owned()], &vec!["never".to_owned()]));
    assert!(orders.requires(ordered) && orders.requires(id) && !orders.requires(status));
    assert_eq!(status.known_values, ["open", "closed"]);
    let values: Vec<_> = status.values.iter().map(|(from, to)| (from.as_str(), to.as_str())).collect();
    assert_eq!(values, [("o", "closed"), ("Offen", "open")]);
}

#[test]
fn rules_are_changed_switched_off_and_added() {
    let text = r#"
        [[silver.orders.rules]]
        name = "is_open"
        severity = "reject"
        [[silver.orders.rules]]
        name = "has_date"
        severity = "off"
        [[silver.orders.rules]]
        name = "recent"
        expression = "ordered >= '2020-01-01'"
        severity = "fail"
    "#;
    let own = own(text).unwrap();
    let rules: Vec<_> = cleanse(&own, "orders").rules.iter().map(|rule| (rule.name.as_str(), rule.severity)).collect();
    assert_eq!(rules, [("is_open", Severity::Reject), ("recent", Severity::Fail)]);
    let changed = self::own("[[silver.orders.rules]]\nname = \"is_open\"\nexpression = \"status <> 'x'\"").unwrap();
    let rule = &cleanse(&changed, "orders").rules[0];
    assert_eq!((rule.expression.as_str(), rule.severity), ("status <> 'x'", Severity::Warn));
}

#[test]
fn excluded_values_reach_every_table_that_has_the_column() {
    let own = own("[exclude]\norder_id = [2, 40]\nstatus = [\"test\"]").unwrap();
    let of = |table: &str| {
        let excluded = &cleanse(&own, table).exclude;
        excluded.iter().map(|one| (one.column.as_str(), one.values.len())).collect::<Vec<_>>()
    };
    assert_eq!(of("orders"), [("order_id", 2), ("status", 1)]);
    assert_eq!(of("lines"), [("order_id", 2)]);
}

#[test]
fn build_keys_change_with_what_is_said_and_not_with_how() {
    assert_eq!(changed(""), [""; 0]);
    assert_eq!(changed("[silver.lines]\nnull_markers = [\"x\"]"), ["lines"]);
    assert_eq!(changed("[exclude]\nnote = [\"x\"]"), ["lines"]);
    let mut both = changed("[exclude]\norder_id = [1]");
    both.sort();
    assert_eq!(both, ["lines", "orders"]);
    let text = |lines: &str| {
        let own = own(lines).unwrap();
        own.table(&"silver.orders".parse().unwrap()).unwrap().text.clone()
    };
    let plain = "[silver.orders.columns.status]\nvalues = { a = \"b\" }\nknown_values = [\"c\"]";
    let same = "# of 2025\nsilver.orders.columns.status = { known_values = ['c'], values = { 'a' = 'b' } }";
    assert_eq!(text(plain), text(same));
    assert_ne!(text(plain), text(&plain.replace("\"b\"", "\"d\"")));
    assert_eq!(text("[exclude]\norder_id = [1, 2]"), text("[exclude]\n\norder_id = [2, 1, 1]"));
    assert_ne!(text("[exclude]\norder_id = [1, 2]"), text("[exclude]\norder_id = [1, 3]"));
}

#[test]
fn mistakes_are_named_with_their_place_and_the_nearest_name() {
    for (text, place, part, nearest) in [
        ("[silver.order]", "2:9", "there is no table silver.order", Some("orders")),
        ("[silver.counts]", "2:9", "silver.counts is a table of kind query: only those of kind cleanse have", None),
        ("[silver.orders]\nnull_marker = []", "3:1", "unknown field `null_marker`", Some("null_markers")),
        ("[silver.orders]\nkey = []", "3:1", "unknown field `key`, expected one of", None),
        ("[silver.orders.columns.state]", "2:24", "[silver.orders] names the column 'state'", Some("status")),
        ("[silver.orders.columns.status_id]", "2:24", "'status_id' is made of another column", None),
        ("[silver.orders]\nnull_markers = [\"a\", \" b\"]", "3:22", "' b' can never be a null marker", None),
        (
            "[silver.orders.columns.status]\naccept = [\"decimal_point\"]",
            "3:10",
            "accept is for columns of type long",
            None,
        ),
        (
            "[silver.orders.columns.order_id]\nknown_values = [\"1\"]",
            "3:16",
            "known_values is for columns of type text",
            None,
        ),
        ("[silver.orders.columns.ordered]\nformats = [\"%d\", \"%Q\"]", "3:18", "'%Q' is no format", None),
        ("[silver.orders.columns.status]\nformats = [\"%d\"]", "3:11", "formats is for columns of type date or", None),
        (
            "[silver.orders.columns.status]\nvalues = { \"o \" = \"x\" }",
            "3:12",
            "'o ' can never be a text to replace",
            None,
        ),
        (
            "[[silver.orders.rules]]\nname = \"is_opn\"\nseverity = \"off\"",
            "3:8",
            "no rule 'is_opn' to change",
            Some("is_open"),
        ),
        (
            "[[silver.orders.rules]]\nname = \"x\"\nexpression = \"TRUE\"",
            "3:8",
            "needs an expression and a severity",
            None,
        ),
        ("[[silver.orders.rules]]\nname = \"x\"\nseverity = \"of\"", "4:12", "unknown variant `of`", Some("off")),
        ("[[silver.orders.rules]]\nname = \"required\"", "3:8", "'required' is the name of a built-in rule", None),
        ("[[silver.orders.rules]]\nname = \"encoding\"", "3:8", "'encoding' is the name of a built-in rule", None),
        (
            "[[silver.orders.rules]]\nname = \"is_open\"\n[[silver.orders.rules]]\nname = \"is_open\"",
            "5:8",
            "there is a rule 'is_open' already",
            None,
        ),
        (
            "[[silver.orders.rules]]\nname = \"x\"\nseverity = \"warn\"\nexpression = \"order_id > 0 AND statu = 'x'\"",
            "5:32",
            "rule x: there is no column 'statu'",
            Some("status"),
        ),
        (
            "[[silver.orders.rules]]\nname = \"x\"\nexpression = \"\"\"\n  status = 'x' OR\n  lowr(status) = 'y'\"\"\"",
            "6:3",
            "rule x: there is no function 'lowr'",
            Some("lower"),
        ),
        (
            "[[silver.orders.rules]]\nname = \"x\"\nexpression = \"ordered_date > '2020-01-01'\"",
            "4:15",
            "no column",
            Some("ordered"),
        ),
        ("[exclude]\norder = [1]", "3:1", "[exclude] names the column 'order'", Some("ordered")),
        ("[exclude]\norder_id = [1, \"2\"]", "3:16", "'order_id' is long in silver.", None),
        ("[exclude]\nordered = [1]", "3:12", "'ordered' is timestamp in silver.orders", None),
        ("[exclude]\norder_id = [1.5]", "3:12", "expected a whole number or a text", None),
    ] {
        let error = own(text).unwrap_err();
        let message = error.to_string();
        assert!(message.contains(&format!("acme.toml:{place}: ")) && message.contains(part), "{text}: {message}");
        assert_eq!(error.hint(), nearest.map(|name| format!("did you mean '{name}'?")), "{text}: {message}");
    }
}

#[test]
fn a_pipelines_own_mistakes_have_places_too() {
    let load = |from: &str, to: &str| {
        let mut files = PipelineFiles::from([
            ("pipeline.toml".to_owned(), "name = \"shop\"\ndescription = \"x\"".to_owned()),
            ("silver/orders.toml".to_owned(), ORDERS.replacen(from, to, 1)),
        ]);
        let columns = ["order_id", "ordered", "status"]
            .map(|name| format!("[[columns]]\nname = \"{name}\"\ndescription = \"x\"\n"));
        files.insert(
            "bronze/orders.toml".to_owned(),
            format!("description = \"x\"\npatterns = [\"o*\"]\n{}", columns.concat()),
        );
        Pipeline::load(&files).unwrap_err()
    };
    for (from, to, place, part, nearest) in [
        ("status = 'open'", "statuz = 'open'", "15:15", "rule is_open: there is no column 'statuz'", Some("status")),
        (
            "key = [\"order_id\"]",
            "key = [\"order_id\", \"ordr\"]",
            "4:20",
            "key names the column 'ordr'",
            Some("ordered"),
        ),
        (
            "key = [\"order_id\"]",
            "keep = { lowest = \"statu\" }",
            "4:19",
            "keep names the column 'statu'",
            Some("status"),
        ),
        ("key = [\"order_id\"]", "where = \"status = 'a' AND\"", "4:10", "where: Expected", None),
        (
            "key = [\"order_id\"]",
            "where = \"statu = 'a'\"",
            "4:10",
            "where: there is no column 'statu'",
            Some("status"),
        ),
        (
            "key = [\"order_id\"]",
            "key = [\"ordered_date\"]",
            "4:8",
            "key names the column 'ordered_date'",
            Some("ordered"),
        ),
        ("hash_of = \"status\"", "hash_of = \"stats\"", "10:52", "hash_of names the column 'stats'", Some("status")),
        ("hash_of = \"status\"", "hash_of = \"order_id\"", "10:52", "only texts are hashed", None),
        ("hash_of = \"status\"", "from = \"statuss\"", "10:49", "the column of bronze.orders to take", Some("status")),
        ("type = \"long\", id = true", "type = \"text\", id = true", "7:46", "id is for columns of type long", None),
        ("type = \"timestamp\"", "type = \"date\"", "8:75", "date_key is for columns of type timestamp", None),
        (
            "type = \"text\", known_values = [\"open\"]",
            "type = \"long\", known_values = [\"1\"]",
            "9:54",
            "known_values is for",
            None,
        ),
        ("null_markers = [\"none\"]", "null_markers = [\"\"]", "5:17", "'' can never be a null marker", None),
        ("name = \"has_date\"", "name = \"is_open\"", "19:8", "there is a rule 'is_open' already", None),
        ("name = \"has_date\"", "name = \"\"", "19:8", "a rule needs a name", None),
    ] {
        let error = load(from, to);
        let message = error.to_string();
        assert!(
            message.starts_with(&format!("silver/orders.toml:{place}: ")) && message.contains(part),
            "{to}: {message}"
        );
        assert_eq!(error.hint(), nearest.map(|name| format!("did you mean '{name}'?")), "{to}: {message}");
    }
}
