//! What a pipeline and a customer may say of a source's mode.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::customer::Customer;
use crate::load::{Pipeline, PipelineFiles};

const COLUMNS: &str = "[[columns]]\nname = \"id\"\ndescription = \"Its number\"\n\
                       [[columns]]\nname = \"deleted\"\noptional = true\ndescription = \"Whether it is gone\"\n";

/// The source people, of which `keys` are given, and silver.people with the given key.
fn pipeline(keys: &str, key: &str) -> Result<Pipeline, DefinitionError> {
    let people = format!("description = \"A person\"\npatterns = [\"people*\"]\n{keys}\n{COLUMNS}");
    let silver = format!(
        "kind = \"cleanse\"\ndescription = \"A person\"\nsource = \"people\"\n{key}\n\
         [[columns]]\nname = \"id\"\ntype = \"long\"\ndescription = \"Its number\"\n"
    );
    let notes = format!("description = \"A note\"\npatterns = [\"notes*\"]\n{COLUMNS}");
    Pipeline::load(&PipelineFiles::from([
        ("pipeline.toml".to_owned(), "name = \"small\"\ndescription = \"Two sources\"\n".to_owned()),
        ("bronze/people.toml".to_owned(), people),
        ("bronze/notes.toml".to_owned(), notes),
        ("silver/people.toml".to_owned(), silver),
    ]))
}

const KEY: &str = "key = [\"id\"]";
const INCREMENTAL: &str = "mode = \"incremental\"";
const DELETED: &str = "deleted = { column = \"deleted\", values = [\"1\", \"true\"] }";

fn customer(text: &str) -> Customer {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("acme.toml");
    std::fs::write(&path, format!("source = \"drop\"\n{text}\n")).unwrap();
    Customer::read(&path).unwrap()
}

fn own(keys: &str, text: &str) -> Result<Source, DefinitionError> {
    let pipeline = pipeline(keys, KEY).unwrap().for_customer(&customer(text))?;
    Ok(pipeline.sources["people"].source.clone())
}

#[test]
fn a_source_is_a_snapshot_unless_it_says_otherwise() {
    let source = pipeline("", KEY).unwrap().sources["people"].source.clone();
    assert_eq!((source.mode, source.deleted), (Mode::Snapshot, None));
    let source = pipeline(&format!("{INCREMENTAL}\n{DELETED}"), KEY).unwrap().sources["people"].source.clone();
    let values = vec!["1".to_owned(), "true".to_owned()];
    assert_eq!((source.mode, source.deleted.unwrap().values), (Mode::Incremental, values));
    pipeline("mode = \"snapshot\"\nretain_batches = 3", "").unwrap();
}

#[test]
fn contradictions_are_named_with_file_line_and_what_to_do() {
    for (keys, key, parts) in [
        (DELETED, KEY, ["bronze/people.toml:3:1: deleted is for increments", "write mode = \"incremental\""]),
        (
            "retain_batches = 7\nmode = \"incremental\"",
            KEY,
            ["people.toml:3:1: retain_batches", "leave retain_batches"],
        ),
        (INCREMENTAL, "", ["people.toml:3:1: mode = \"incremental\"", "silver.people has none: declare the key in"]),
        ("mode = \"increments\"", KEY, ["people.toml:3:8: unknown variant `increments`", "`incremental`"]),
        ("mode = \"incremental\"\ndeleted = { column = \"deleted\", values = [] }", KEY, ["toml:4:1", "has no values"]),
        ("mode = \"incremental\"\ndeleted = { column = \"id\", values = [\" \"] }", KEY, ["toml:4:1", "an empty one"]),
        ("mode = \"incremental\"\ndeleted = { column = \"id\" }", KEY, ["toml:4:11", "missing field `values`"]),
        (
            "mode = \"incremental\"\ndeleted = { column = \"delete\", values = [\"1\"] }",
            KEY,
            ["people.toml:4:1: deleted names the column 'delete'", "does not have"],
        ),
    ] {
        let error = pipeline(keys, key).unwrap_err();
        for part in parts {
            assert!(error.to_string().contains(part), "{keys}: {error}");
        }
    }
    let unknown = "mode = \"incremental\"\ndeleted = { column = \"delete\", values = [\"1\"] }";
    assert_eq!(pipeline(unknown, KEY).unwrap_err().hint().unwrap(), "did you mean 'deleted'?");
}

#[test]
fn a_customer_has_its_own_mode() {
    let source = own("retain_batches = 3", "[sources.people]\nmode = \"incremental\"").unwrap();
    assert_eq!((source.mode, source.deleted), (Mode::Incremental, None));
    let text = "[sources.people]\nmode = \"incremental\"\ndeleted = { column = \"deleted\", values = [\"Y\"] }";
    assert_eq!(own("", text).unwrap().deleted.unwrap().values, ["Y"]);
    let both = format!("{INCREMENTAL}\n{DELETED}");
    let flag = "[sources.people]\ndeleted = { column = \"id\", values = [\"0\"] }";
    assert_eq!(own(&both, flag).unwrap().deleted.unwrap().column, "id");
    assert_eq!(own(&both, "[sources.people]\nmin_rows = 3").unwrap().deleted.unwrap().column, "deleted");
    let source = own(&both, "[sources.people]\nmode = \"snapshot\"\nretain_batches = 2").unwrap();
    assert_eq!((source.mode, source.deleted, source.retain_batches), (Mode::Snapshot, None, 2));
    // No table is cleansed from notes: nothing needs a key.
    let notes = pipeline("", KEY).unwrap().for_customer(&customer("[sources.notes]\nmode = \"incremental\"")).unwrap();
    assert_eq!(notes.sources["notes"].source.mode, Mode::Incremental);
}

#[test]
fn a_customers_contradictions_are_named_with_its_file() {
    let flag = |column: &str| format!("deleted = {{ column = \"{column}\", values = [\"1\"] }}");
    for (keys, text, parts) in [
        ("", flag("deleted"), ["acme.toml:2:10: deleted is for increments", "snapshot"]),
        (INCREMENTAL, "retain_batches = 3".to_owned(), ["acme.toml:2:10: retain_batches is for snapshots", "leave"]),
        (INCREMENTAL, flag("deletd"), ["acme.toml:2:10: deleted names the column 'deletd'", "does not have"]),
    ] {
        let error = own(keys, &format!("[sources.people]\n{text}")).unwrap_err().to_string();
        for part in parts {
            assert!(error.contains(part), "{text}: {error}");
        }
    }
    let read = customer("[sources.people]\nmode = \"incremental\"");
    let error = pipeline("", "").unwrap().for_customer(&read).unwrap_err().to_string();
    assert!(error.contains("acme.toml:2:10: mode") && error.contains("silver.people has none"), "{error}");
    let read = customer(&format!("[sources.notes]\nmode = \"incremental\"\n{}", flag("deleted")));
    let error = pipeline("", KEY).unwrap().for_customer(&read).unwrap_err().to_string();
    assert!(error.contains("acme.toml:2:10: deleted would delete nothing"), "{error}");
}
