//! Defaults, bad values and overrides of what is particular to arrivals.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use encoding_rs::{ISO_8859_2, UTF_16LE, WINDOWS_1252};

use super::*;
use crate::customer::Customer;
use crate::load::{Pipeline, PipelineFiles};

fn customer(text: &str) -> Result<Customer, DefinitionError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("acme.toml");
    std::fs::write(&path, format!("source = \"drop\"\n{text}\n")).unwrap();
    Customer::read(&path)
}

/// A pipeline with the sources users, of which `keys` are given, and dates, a workbook.
fn pipeline(keys: &str) -> Result<Pipeline, DefinitionError> {
    let column = "[[columns]]\nname = \"id\"\ndescription = \"Its number\"\n";
    let users = format!("description = \"A person\"\npatterns = [\"users*\"]\n{keys}\n{column}");
    let dates = format!("description = \"A day\"\npatterns = [\"dates*\"]\nformat = \"xlsx\"\n{column}");
    Pipeline::load(&PipelineFiles::from([
        ("pipeline.toml".to_owned(), "name = \"small\"\ndescription = \"Two sources\"\n".to_owned()),
        ("bronze/users.toml".to_owned(), users),
        ("bronze/dates.toml".to_owned(), dates),
    ]))
}

fn users(pipeline: &Pipeline) -> &Source {
    &pipeline.sources["users"].source
}

#[test]
fn a_customer_that_says_nothing_has_the_defaults() {
    let read = customer("").unwrap();
    let expected = Arrival {
        settle_seconds: 0,
        ready: Ready::Settled,
        manifest: "*manifest*".to_owned(),
        after: After::Keep,
        archive: None,
        limits: Limits {
            file: 68_719_476_736,
            ratio: 200,
            window: 134_217_728,
            workbook: 268_435_456,
            field: 16_777_216,
            columns: 2_000,
            rejects: 1_000_000,
        },
    };
    assert_eq!(read.arrival, expected);
    assert!(read.sources.is_empty());
    let without_file = Customer::without_file("acme".parse().unwrap(), PathBuf::from("drop"));
    assert_eq!(without_file.arrival, expected);
    assert!(without_file.sources.is_empty());
}

#[test]
fn a_source_that_says_nothing_has_the_defaults() {
    let pipeline = pipeline("").unwrap();
    let source = users(&pipeline);
    assert_eq!(source.new_columns, NewColumns::Evolve);
    assert_eq!(source.encoding, None);
    assert_eq!((source.retain_batches, source.min_rows, source.max_age_days), (7, 100, None));
    assert!((source.min_ratio - 0.7).abs() < f64::EPSILON);
}

#[test]
fn every_key_of_a_customer_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("acme.toml");
    let text = "source = \"drop\"\nsettle_seconds = 90\nready = \"manifest\"\nmanifest = \"*.sha256\"\n\
                after = \"archive\"\narchive = \"taken/acme\"\n\
                [limits]\nfile = \"2GiB\"\nratio = 50\nwindow = \"2GiB\"\nworkbook = 1024\nfield = \"1 kB\"\n\
                columns = 300\nrejects = 7\n";
    std::fs::write(&path, text).unwrap();
    let expected = Arrival {
        settle_seconds: 90,
        ready: Ready::Manifest,
        manifest: "*.sha256".to_owned(),
        after: After::Archive,
        archive: Some(folder.path().join("taken/acme")),
        limits: Limits {
            file: 2_147_483_648,
            ratio: 50,
            window: 2_147_483_648,
            workbook: 1_024,
            field: 1_000,
            columns: 300,
            rejects: 7,
        },
    };
    assert_eq!(Customer::read(&path).unwrap().arrival, expected);
}

#[test]
fn choices_are_read_by_their_names() {
    for (name, ready) in [("settled", Ready::Settled), ("done", Ready::Done), ("manifest", Ready::Manifest)] {
        assert_eq!(customer(&format!("ready = \"{name}\"")).unwrap().arrival.ready, ready);
    }
    for (name, after) in [("keep", After::Keep), ("archive", After::Archive), ("delete", After::Delete)] {
        assert_eq!(customer(&format!("after = \"{name}\"")).unwrap().arrival.after, after);
    }
    for (name, columns) in
        [("evolve", NewColumns::Evolve), ("rescue", NewColumns::Rescue), ("freeze", NewColumns::Freeze)]
    {
        let read = pipeline(&format!("new_columns = \"{name}\"")).unwrap();
        assert_eq!(users(&read).new_columns, columns);
        for key in ["columns", "new_columns"] {
            let read = customer(&format!("[sources.users]\n{key} = \"{name}\"")).unwrap();
            assert_eq!(read.sources["users"].new_columns, Some(columns), "{key}");
        }
    }
}

#[test]
fn encodings_are_known_by_all_their_labels() {
    for (label, encoding) in
        [("UTF-16LE", UTF_16LE), ("windows-1252", WINDOWS_1252), ("cp1252", WINDOWS_1252), ("latin2", ISO_8859_2)]
    {
        assert_eq!(users(&pipeline(&format!("encoding = \"{label}\"")).unwrap()).encoding, Some(encoding));
    }
}

#[test]
fn bad_values_of_a_customer_are_named_with_file_and_key() {
    for (text, parts) in [
        ("settle_seconds = -1", ["acme.toml:2:18: ", "(key settle_seconds)"]),
        ("settle_seconds = 4294967296", ["acme.toml: ", "settle_seconds = 4294967296 is too much"]),
        ("ready = \"complete\"", ["acme.toml:2:9: ", "expected one of `settled`, `done`, `manifest` (key ready)"]),
        ("manifest = \"*.txt\"", ["acme.toml: ", "manifest is what ready = \"manifest\" looks for"]),
        ("ready = \"done\"\nmanifest = \"*.txt\"", ["acme.toml: ", "manifest is what ready = \"manifest\" looks for"]),
        ("ready = \"manifest\"\nmanifest = \"[a\"", ["acme.toml: ", "manifest = \"[a\" is not a file pattern"]),
        (
            "ready = \"manifest\"\nmanifest = \"\"",
            ["acme.toml: ", "manifest = \"\" is not the pattern of a file's name"],
        ),
        ("ready = \"manifest\"\nmanifest = \"a/*\"", ["acme.toml: ", "manifest = \"a/*\" is not the pattern"]),
        ("after = \"remove\"", ["acme.toml:2:9: ", "expected one of `keep`, `archive`, `delete` (key after)"]),
        ("archive = \"taken\"", ["acme.toml: ", "archive is where after = \"archive\" moves files"]),
        (
            "after = \"delete\"\narchive = \"taken\"",
            ["acme.toml: ", "archive is where after = \"archive\" moves files"],
        ),
        ("after = \"archive\"\narchive = \" \"", ["acme.toml: ", "archive is empty"]),
        ("after = \"archive\"\narchive = \"./drop/\"", ["acme.toml: ", "archive is the drop folder itself"]),
        ("after = \"archive\"\narchive = \"${MEDALLION_TEST_UNSET}\"", ["acme.toml: ", "archive refers to"]),
        ("limits.fields = 1", ["acme.toml:2:8: ", "unknown field `fields`"]),
        ("limits.file = \"64 gigs\"", ["acme.toml:2:15: ", "expected a size such as"]),
        ("limits.file = \"many\"", ["acme.toml:2:15: ", "(key limits.file)"]),
        ("limits.field = -5", ["acme.toml:2:16: ", "(key limits.field)"]),
        ("limits.workbook = 1.5", ["acme.toml:2:19: ", "(key limits.workbook)"]),
        ("limits.file = 0", ["acme.toml: ", "limits.file = 0"]),
        ("limits.ratio = 0", ["acme.toml: ", "limits.ratio = 0"]),
        ("limits.window = 0", ["acme.toml: ", "limits.window = 0"]),
        ("limits.workbook = \"0MiB\"", ["acme.toml: ", "limits.workbook = 0"]),
        ("limits.field = 0", ["acme.toml: ", "limits.field = 0"]),
        ("limits.columns = 0", ["acme.toml: ", "limits.columns = 0"]),
        ("limits.rejects = 0", ["acme.toml: ", "limits.rejects = 0"]),
        ("limits.window = \"100MiB\"", ["acme.toml: ", "limits.window = 104857600 bytes is not a power of two"]),
        ("limits.window = 512", ["acme.toml: ", "limits.window = 512 bytes is not a power of two from 1 KiB"]),
        ("limits.window = \"4GiB\"", ["acme.toml: ", "limits.window = 4294967296 bytes is not a power of two"]),
    ] {
        let message = customer(text).unwrap_err().to_string();
        for part in parts {
            assert!(message.contains(part), "{text}: {message}");
        }
    }
    for window in ["1024", "\"2GiB\""] {
        customer(&format!("limits.window = {window}")).unwrap();
    }
}

#[test]
fn bad_values_of_a_source_are_named_with_file_and_key() {
    for (key, place) in [
        ("new_columns = \"drop\"", "bronze/users.toml:3:15: unknown variant `drop`"),
        ("encoding = \"utf-7\"", "bronze/users.toml:3:12: 'utf-7' is no encoding"),
        ("encoding = \"iso-2022-kr\"", "bronze/users.toml:3:12: 'iso-2022-kr' is no encoding"),
        ("format = \"xlsx\"\nencoding = \"UTF-8\"", "bronze/users.toml: encoding is for text"),
        ("retain_batches = 0", "bronze/users.toml: retain_batches = 0 would keep nothing"),
        ("retain_batches = -1", "bronze/users.toml:3:18: invalid value"),
        ("min_ratio = 1.1", "bronze/users.toml: min_ratio = 1.1 is not a part: expected 0 to 1"),
        ("min_ratio = -0.1", "bronze/users.toml: min_ratio = -0.1 is not a part"),
        ("min_ratio = nan", "bronze/users.toml: min_ratio = NaN is not a part"),
        ("min_rows = \"many\"", "bronze/users.toml:3:12: invalid type"),
        ("max_age_days = -1", "bronze/users.toml:3:16: invalid value"),
    ] {
        let message = pipeline(key).unwrap_err().to_string();
        assert!(message.starts_with(place), "{key}: {message}");
        if place.contains("toml:3") {
            let name = key.split(' ').next().unwrap();
            assert!(message.ends_with(&format!("(key {name})")), "{message}");
        }
    }
    for sound in ["min_ratio = 0", "min_ratio = 1", "min_ratio = 1.0", "retain_batches = 1", "max_age_days = 0"] {
        pipeline(sound).unwrap();
    }
}

#[test]
fn bad_overrides_are_named_with_file_source_and_key() {
    for (key, part) in [
        ("retain_batches = 0", "acme.toml: sources.users.retain_batches = 0"),
        ("min_ratio = 2", "acme.toml: sources.users.min_ratio = 2"),
        ("columns = \"drop\"", "(key sources.users.columns)"),
        ("encoding = \"utf-7\"", "acme.toml:3:12: 'utf-7' is no encoding"),
        ("patterns = []", "acme.toml:3:1: unknown field `patterns`"),
        ("columns = \"evolve\"\nnew_columns = \"evolve\"", "duplicate field `columns`"),
    ] {
        let message = customer(&format!("[sources.users]\n{key}")).unwrap_err().to_string();
        assert!(message.contains(part), "{key}: {message}");
    }
}

#[test]
fn what_a_customer_gives_replaces_what_the_pipeline_says_and_the_rest_stays() {
    let pipeline = pipeline("retain_batches = 3\nmin_rows = 5\nencoding = \"UTF-16LE\"\nmax_age_days = 2").unwrap();
    let all = "[sources.users]\nrequired = true\ncolumns = \"freeze\"\nencoding = \"windows-1252\"\n\
               retain_batches = 30\nmin_ratio = 0.25\nmin_rows = 50\nmax_age_days = 20";
    let own = pipeline.for_customer(&customer(all).unwrap()).unwrap();
    let source = users(&own);
    assert!(source.required);
    assert_eq!((source.new_columns, source.encoding), (NewColumns::Freeze, Some(WINDOWS_1252)));
    assert_eq!((source.retain_batches, source.min_rows, source.max_age_days), (30, 50, Some(20)));
    assert!((source.min_ratio - 0.25).abs() < f64::EPSILON);
    assert_eq!(own.sources["dates"].source.retain_batches, 7);

    let one = pipeline.for_customer(&customer("[sources.users]\nmin_rows = 0").unwrap()).unwrap();
    let source = users(&one);
    assert!(!source.required);
    assert_eq!((source.new_columns, source.encoding), (NewColumns::Evolve, Some(UTF_16LE)));
    assert_eq!((source.retain_batches, source.min_rows, source.max_age_days), (3, 0, Some(2)));
    assert_eq!(users(&pipeline).min_rows, 5, "the pipeline itself stays as it is");
}

#[test]
fn an_override_of_no_source_is_named_with_its_place_and_the_nearest_source() {
    let pipeline = pipeline("").unwrap();
    let read = customer("[sources.dates]\nrequired = true\n[sources.user]\nrequired = true").unwrap();
    let error = pipeline.for_customer(&read).unwrap_err();
    let message = error.to_string();
    assert!(message.contains("acme.toml:4:10: there is no source 'user' in the pipeline small"), "{message}");
    assert_eq!(error.hint().unwrap(), "did you mean 'users'?");

    let message = pipeline.check_source("--accept-shrink", "orders").unwrap_err().to_string();
    assert_eq!(message, "--accept-shrink: there is no source 'orders' in the pipeline small");
    pipeline.check_source("--accept-shrink", "users").unwrap();
}

#[test]
fn a_workbook_takes_no_encoding_from_a_customer() {
    let read = customer("[sources.dates]\nencoding = \"UTF-8\"").unwrap();
    let message = pipeline("").unwrap().for_customer(&read).unwrap_err().to_string();
    assert!(message.contains("acme.toml:2:10: encoding is for text"), "{message}");
}

#[test]
fn a_customers_overrides_made_without_a_file_name_the_customer() {
    let mut made = Customer::without_file("acme".parse().unwrap(), Path::new("drop").to_path_buf());
    made.sources.insert("orders".to_owned(), SourceOverride { required: Some(true), ..SourceOverride::default() });
    let message = pipeline("").unwrap().for_customer(&made).unwrap_err().to_string();
    assert_eq!(message, "customer acme: there is no source 'orders' in the pipeline small");
}
