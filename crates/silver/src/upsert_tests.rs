//! Increments on rows small enough to count by hand, and random ones against a map.

use std::collections::BTreeMap;

use medallion_pipeline::Deleted;
use medallion_pipeline::definition::{Excluded, ExcludedValue};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::upsert::{Increment, UpsertReport, UpsertTask, Upserts, add_up};

/// A table after its increments, each of which is the next `files` of bronze.
#[derive(Debug)]
struct After {
    rows: Vec<String>,
    report: UpsertReport,
}

/// `gone` is the column of the flag, `y` its value.
fn after(things: &Things, files: &[usize]) -> Result<After, SilverError> {
    let area = things.folder.path().join("area");
    std::fs::create_dir_all(&area).unwrap();
    let Definition::Cleanse(definition) = &things.table.definition else { panic!("{:?}", things.table) };
    let mut of_batches = things.batch.files.iter();
    let increment = |(number, files): (usize, &usize)| Increment {
        batch_id: format!("batch-{number}"),
        rows: of_batches.by_ref().take(*files).map(|file| file.rows).sum(),
        is_new: true,
    };
    let increments: Vec<Increment> = files.iter().enumerate().map(increment).collect();
    let (schema, batch) = (&things.table.schema, &things.batch);
    let cleanse = CleanseTask { definition, schema, batch, batch_id: "", run_id: "run-7" };
    let has_flag = batch.schema.columns.iter().any(|column| column.name == "gone");
    let deleted = has_flag.then(|| Deleted { column: "gone".to_owned(), values: vec!["y".to_owned()] });
    let task = UpsertTask { cleanse, increments: &increments, deleted: deleted.as_ref() };
    let report = task.stage(&Url::from_directory_path(&area).unwrap())?;
    let files = area.read_dir().unwrap().map(|file| file.unwrap().path()).collect::<Vec<_>>();
    let mut rows: Vec<String> = files.iter().flat_map(|file| things.read(file)).collect();
    rows.sort();
    Ok(After { rows, report })
}

/// One file for each batch.
fn increments(columns: &str, silver: &str, batches: &[&[&str]]) -> After {
    let things = batches.iter().fold(Things::new(columns, silver), |things, lines| things.file(lines));
    after(&things, &vec![1; batches.len()]).unwrap()
}

fn upserts([inserted, updated, unchanged, deleted, absent]: [u64; 5]) -> Upserts {
    Upserts { inserted, updated, unchanged, deleted, absent }
}

fn of_batches(after: &After) -> Vec<Upserts> {
    after.report.upserts.batches.iter().map(|batch| batch.upserts).collect()
}

/// Rejects as `batch file:row rule column`.
fn set_aside(after: &After) -> Vec<String> {
    let of = |reject: &Reject| {
        let Reject { batch_id, file, row, rule, column, .. } = reject;
        format!("{batch_id} {file}:{row} {rule} {}", column.as_deref().unwrap_or("-"))
    };
    after.report.cleansed.rejects.iter().map(of).collect()
}

const NOTES: &str = r#"
    key = ["id"]
    columns = [{ name = "id", type = "long" }, { name = "note", type = "text", required = true }]
"#;

#[test]
fn the_last_batch_that_speaks_of_a_key_has_the_last_word() {
    let after = increments(
        "id|note|gone",
        NOTES,
        &[
            &["1|a|-", "2|b|-", "3|c|-", "4|d|no"],
            // 1 is another, 2 is as it was (the cleansed text counts), 3 goes, 9 was never there, 5 is new.
            &["1|A|-", "2| b |-", "3|-| y ", "9|x|y", "5|e|-"],
            &[],
            // 3 comes back as it was, 4 goes, 5 goes, 9 still is not there.
            &["3|c|-", "4|-|y", "5|-|y", "9|-|y"],
        ],
    );
    assert_eq!(after.rows, ["1|A", "2|b", "3|c"]);
    let expected = [[4, 0, 0, 0, 0], [1, 1, 1, 1, 1], [0; 5], [1, 0, 0, 2, 1]];
    assert_eq!(of_batches(&after), expected.map(upserts));
    assert_eq!(after.report.upserts.total, upserts([6, 1, 1, 3, 2]));
    assert_eq!(after.report.cleansed.sums, sums([13, 3, 0, 0, 0, 0]));
    assert!(after.report.cleansed.rejects.is_empty(), "a deletion needs nothing but its key");
}

#[test]
fn within_a_batch_the_rules_are_those_of_a_snapshot() {
    let after = increments(
        "id|note|gone",
        NOTES,
        &[
            // The same twice, one key twice, no note, no key.
            &["1|a|-", "1|a|-", "2|b|-", "2|c|-", "3|-|-", "-|d|-"],
            // What is said last counts: 1 goes, 2 comes back; the same deletion twice; a deletion without a key.
            &["1|e|-", "1|-|y", "2|-|y", "2|f|-", "7|-|y", "7|-|y", "-|-|y"],
        ],
    );
    assert_eq!(after.rows, ["2|f"]);
    assert_eq!(of_batches(&after), [[2, 0, 0, 0, 0], [0, 1, 0, 1, 1]].map(upserts));
    assert_eq!(after.report.cleansed.sums, sums([13, 1, 2, 6, 0, 0]));
    let mut rejects = set_aside(&after);
    rejects.sort();
    let expected = [
        "batch-0 things_1.csv:3 duplicate_key -",
        "batch-0 things_1.csv:5 required note",
        "batch-0 things_1.csv:6 required id",
        "batch-1 things_2.csv:1 duplicate_key -",
        "batch-1 things_2.csv:3 duplicate_key -",
        "batch-1 things_2.csv:7 required id",
    ];
    assert_eq!(rejects, expected);
}

#[test]
fn a_row_that_is_set_aside_leaves_its_key_as_it_was() {
    let rules = format!("{NOTES}\n[[rules]]\nname = \"short\"\nexpression = \"note < 'm'\"\nseverity = \"reject\"\n");
    let after = increments("id|note|gone", &rules, &[&["1|a|-", "2|b|-"], &["1|z|-", "2|z|y"]]);
    assert_eq!(after.rows, ["1|a"], "no rule but those about keys is for deletions");
    assert_eq!(set_aside(&after), ["batch-1 things_2.csv:1 short -"]);
    assert_eq!(after.report.cleansed.rejects[0].raw, r#"{"id":"1","note":"z"}"#);
}

#[test]
fn a_row_that_does_not_belong_to_the_table_any_more_leaves_it() {
    let silver = r#"
        key = ["id", "part"]
        where = "part IS NOT NULL OR boss IS NOT NULL"
        columns = [
            { name = "id", type = "long" },
            { name = "part", type = "long", required = false },
            { name = "boss", type = "long" },
        ]
    "#;
    let batches: [&[&str]; 3] = [
        // 3 has a row that belongs to the table and one that does not: as in a snapshot only the first is seen.
        &["1|-|7", "2|-|-", "3|-|8", "3|-|-", "4|5|-", "4|6|-"],
        // 1 has lost its boss, 2 never had one, 4 loses its second part; what deletes needs no boss.
        &["1|-|-", "2|-|-", "3|-|-", "3|-|9", "4|6|-"],
        &["1|-|7", "4|5|-"],
    ];
    let after = increments("id|part|boss", silver, &batches);
    assert_eq!(after.rows, ["1|-|7", "3|-|9", "4|5|-", "4|6|-"]);
    assert_eq!(of_batches(&after), [[4, 0, 0, 0, 0], [0, 1, 1, 1, 0], [1, 0, 1, 0, 0]].map(upserts));
    assert_eq!(after.report.cleansed.sums, sums([13, 4, 0, 0, 0, 4]));
    let flagged = [["1|-|7|-", "2|4|-|-"].as_slice(), &["1|-|-|y", "2|-|-|y"]];
    let after = increments("id|part|boss|gone", silver, &flagged);
    assert_eq!(after.rows, ["2|4|-"], "the key is both columns");
    assert_eq!(of_batches(&after), [[2, 0, 0, 0, 0], [0, 0, 0, 1, 1]].map(upserts));
}

/// Like a row that `where` leaves out; each is counted by what left it out, unless it takes its key out of the table.
#[test]
fn a_row_that_the_customer_excludes_takes_its_key_out_of_the_table() {
    let silver = r#"
        key = ["id"]
        where = "status IS NOT NULL"
        columns = [{ name = "id", type = "long" }, { name = "status", type = "text" }]
    "#;
    let batches: [&[&str]; 3] =
        [&["1|live", "2|test", "3|live"], &["1|test", "2|test", "3|live"], &["1|live", "3|-", "4|test"]];
    let mut things = batches.iter().fold(Things::new("id|status", silver), |things, lines| things.file(lines));
    let Definition::Cleanse(definition) = &mut things.table.definition else { panic!("{:?}", things.table) };
    let values = vec![ExcludedValue::Text("test".to_owned())];
    definition.exclude = vec![Excluded { column: "status".to_owned(), values }];
    let after = after(&things, &[1, 1, 1]).unwrap();
    assert_eq!(after.rows, ["1|live"]);
    assert_eq!(of_batches(&after), [[2, 0, 0, 0, 0], [0, 0, 1, 1, 0], [1, 0, 0, 1, 0]].map(upserts));
    // Excluded are 2, twice, and 4; what took 1 and 3 out is counted as deleted.
    let expected = Sums { rows_in: 9, rows_out: 1, excluded: 3, ..Sums::default() };
    assert_eq!(after.report.cleansed.sums, expected);
}

#[test]
fn of_several_rows_that_a_thing_may_have_a_deletion_is_the_last_choice() {
    let batches: [&[&str]; 4] = [
        &["1|20|a|-", "1|10|b|-", "2|5|c|-", "3|5|d|-"],
        // Thing 1 has another lowest now; of 2 one goes and one stays; 3 goes.
        &["1|30|e|-", "2|5|-|y", "2|6|f|-", "3|5|-|y", "3|-|-|y"],
        &["1|30|e|-"],
        &["1|-|-|y"],
    ];
    let columns = "id|assignment|note|gone";
    let after = increments(columns, ASSIGNMENTS, &batches[..3]);
    assert_eq!(after.rows, ["1|30|e", "2|6|f"]);
    assert_eq!(of_batches(&after), [[3, 0, 0, 0, 0], [0, 2, 0, 1, 0], [0, 0, 1, 0, 0]].map(upserts));
    assert_eq!(after.report.cleansed.sums, sums([10, 2, 0, 0, 3, 0]));
    assert_eq!(increments(columns, ASSIGNMENTS, &batches).rows, ["2|6|f"]);
}

#[test]
fn a_batch_may_have_several_files_and_only_new_ones_are_listed() {
    let things = Things::new("id|note", NOTES).file(&["1|a"]).file(&["1|b", "2|b"]).file(&[]).file(&["1|c"]);
    let two = after(&things, &[2, 2]).unwrap();
    assert_eq!(two.rows, ["1|c", "2|b"]);
    assert_eq!(of_batches(&two), [[2, 0, 0, 0, 0], [0, 1, 0, 0, 0]].map(upserts));
    assert_eq!(set_aside(&two), ["batch-0 things_1.csv:1 duplicate_key -"]);
    let nothing = after(&Things::new("id|note|gone", NOTES), &[]).unwrap();
    assert_eq!((nothing.rows.len(), nothing.report.upserts.total), (0, Upserts::default()));
}

#[test]
fn a_single_batch_is_what_a_snapshot_would_be() {
    let lines = ["1|20|a", "1|10|b", "1|-|c", "1|10|d", "2|-|e", "3|-|f", "3|-|g", "4|5|h", "4|5|h"];
    let things = Things::new("id|assignment|note", ASSIGNMENTS).file(&lines);
    let (snapshot, increment) = (things.cleanse().unwrap(), after(&things, &[1]).unwrap());
    assert_eq!(increment.rows, snapshot.rows);
    assert_eq!(increment.report.cleansed.sums, snapshot.report.sums);
    assert_eq!(increment.report.upserts.total, upserts([4, 0, 0, 0, 0]));
}

#[test]
fn sums_that_do_not_add_up_are_told_in_full() {
    let table: TableName = "silver.things".parse().unwrap();
    // 12 rows in: 1 duplicate, 1 rejected, 1 further, 1 left out and 4 + 1 + 1 + 1 + 1 that say something.
    let (sound, total) = (sums([12, 3, 1, 1, 1, 1]), upserts([4, 1, 1, 1, 1]));
    add_up(&table, &sound, &total).unwrap();
    for (sums, total) in [
        (sums([13, 3, 1, 1, 1, 1]), total),
        (sums([12, 4, 1, 1, 1, 1]), total),
        (sums([12, 3, 1, 0, 1, 1]), total),
        (sound.clone(), upserts([4, 1, 1, 1, 0])),
        (sound.clone(), upserts([4, 1, 1, 2, 0])),
    ] {
        add_up(&table, &sums, &total).unwrap_err();
    }
    let error = add_up(&table, &sums([13, 3, 1, 1, 1, 1]), &total).unwrap_err().to_string();
    let expected = "table silver.things: the sums of its increments do not add up: 13 rows in, 4 of them set aside, 8";
    assert!(error.starts_with(expected) && error.ends_with("nothing was published"), "{error}");
}

/// Rows as (key, text, deleted).
type Line = (u8, Option<&'static str>, bool);

/// The table and the sums [rejected, duplicates, inserted, updated, unchanged, deleted, absent], by a map.
fn model(batches: &[Vec<Line>]) -> (BTreeMap<u8, &'static str>, [u64; 7]) {
    let mut table = BTreeMap::new();
    let [mut rejected, mut duplicates] = [0, 0];
    let [mut inserted, mut updated, mut unchanged, mut deleted, mut absent] = [0; 5];
    for batch in batches {
        let mut seen: Vec<Line> = Vec::new();
        for (key, text, gone) in batch.iter().copied() {
            if text.is_none() && !gone {
                rejected += 1;
            } else if seen.contains(&(key, text, gone)) {
                duplicates += 1;
            } else {
                seen.push((key, text, gone));
            }
        }
        let says: BTreeMap<u8, (Option<&str>, bool)> =
            seen.iter().map(|(key, text, gone)| (*key, (*text, *gone))).collect();
        rejected += (seen.len() - says.len()) as u64;
        for (key, (text, gone)) in says {
            match (table.get(&key).copied(), gone) {
                (Some(_), true) => deleted += 1,
                (None, true) => absent += 1,
                (Some(old), false) if Some(old) == text => unchanged += 1,
                (Some(_), false) => updated += 1,
                (None, false) => inserted += 1,
            }
            if gone {
                table.remove(&key)
            } else {
                table.insert(key, text.unwrap())
            };
        }
    }
    (table, [rejected, duplicates, inserted, updated, unchanged, deleted, absent])
}

proptest! {
    // PROPTEST_CASES sets how many.
    #[test]
    fn increments_are_a_map_that_is_written_to(
        batches in vec(vec((1..7_u8, select(vec![None, Some("a"), Some("b"), Some("c")]), any::<bool>()), 0..9), 0..7),
    ) {
        let line = |(key, text, gone): &Line| {
            format!("{key}|{}|{}", text.unwrap_or("-"), if *gone { "y" } else { "n" })
        };
        let mut things = Things::new("id|note|gone", NOTES);
        for batch in &batches {
            let lines: Vec<String> = batch.iter().map(line).collect();
            things = things.file(&lines.iter().map(String::as_str).collect::<Vec<_>>());
        }
        let found = after(&things, &vec![1; batches.len()]).unwrap();
        let (table, counts) = model(&batches);
        let expected: Vec<String> = table.iter().map(|(key, text)| format!("{key}|{text}")).collect();
        prop_assert_eq!(&found.rows, &expected);
        let Sums { rejected, duplicates, further: 0, filtered: 0, .. } = found.report.cleansed.sums else {
            panic!("{:?}", found.report);
        };
        let Upserts { inserted, updated, unchanged, deleted, absent } = found.report.upserts.total;
        prop_assert_eq!([rejected, duplicates, inserted, updated, unchanged, deleted, absent], counts);
    }
}
