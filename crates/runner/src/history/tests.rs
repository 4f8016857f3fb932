#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use chrono::DateTime;
use medallion_pipeline::PipelineFiles;

use super::*;

/// A pipeline in which `silver.history` follows `silver.people`.
fn pipeline() -> Pipeline {
    let column = "[[columns]]\nname = 'id'\ndescription = 'Number'\n";
    let text = |text: &str| text.to_owned();
    Pipeline::load(&PipelineFiles::from([
        (text("pipeline.toml"), text("name = 'small'\ndescription = 'People'\n")),
        (text("bronze/people.toml"), format!("description = 'Person'\npatterns = ['people*']\n{column}")),
        (
            text("silver/people.toml"),
            format!(
                "kind = 'cleanse'\ndescription = 'Person'\nsource = 'people'\nkey = ['id']\n{column}type = 'long'\n"
            ),
        ),
        (text("silver/history.toml"), text("kind = 'versions'\ndescription = 'Over time'\nof = 'silver.people'\n")),
    ]))
    .unwrap()
}

fn day(day: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(2025, 6, day).unwrap()
}

fn history_name() -> TableName {
    "silver.history".parse().unwrap()
}

/// The last release, which says that these exports are in the history.
fn release(exports: &[(u32, &str)]) -> Release {
    let mut snapshots = Snapshots::default();
    exports.iter().for_each(|(date, batch)| snapshots.insert(day(*date), batch));
    Release {
        schema: Release::SCHEMA.to_owned(),
        release: 7,
        run_id: "run".to_owned(),
        as_of: day(30),
        published_at: DateTime::from_timestamp(0, 0).unwrap(),
        tables: BTreeMap::new(),
        batches: BTreeMap::new(),
        history: BTreeMap::from([(history_name().to_string(), snapshots)]),
        rolled_back_to: None,
        pipeline_key: None,
        fence: None,
    }
}

fn histories(last: Option<Release>, in_bronze: &[(u32, &str)]) -> Histories {
    let by_date = in_bronze.iter().map(|(date, batch)| (day(*date), (*batch).to_owned())).collect();
    Histories {
        last: last.map(Arc::new),
        by_date: BTreeMap::from([("bronze.people".parse().unwrap(), by_date)]),
        ..Histories::default()
    }
}

/// What is known and what is to be applied, by day.
fn plan(last: Option<Release>, in_bronze: &[(u32, &str)]) -> (Snapshots, Vec<(NaiveDate, String)>) {
    let pipeline = pipeline();
    let table = pipeline.table(&history_name()).unwrap();
    let histories = histories(last, in_bronze);
    let Plan { known, pending } = histories.plan(&Following::of(&pipeline, table).unwrap());
    assert_eq!(histories.has_pending(&pipeline, table), !pending.is_empty());
    assert_eq!(histories.known(&pipeline, table).unwrap().snapshots, known);
    (known, pending.into_iter().collect())
}

fn days(exports: &[(u32, &str)]) -> Vec<(NaiveDate, String)> {
    exports.iter().map(|(date, batch)| (day(*date), (*batch).to_owned())).collect()
}

#[test]
fn without_a_release_everything_in_bronze_is_to_be_applied() {
    assert_eq!(plan(None, &[(1, "a"), (2, "b")]), (Snapshots::default(), days(&[(1, "a"), (2, "b")])));
}

#[test]
fn what_is_known_is_not_applied_again_and_what_replaces_it_is() {
    let (known, pending) = plan(Some(release(&[(1, "a"), (2, "b"), (3, "c")])), &[(2, "b"), (3, "d"), (4, "e")]);
    assert_eq!(pending, days(&[(3, "d"), (4, "e")]));
    // Of the first day only the date is left, of the third another batch is the truth.
    assert_eq!(known.dates().collect::<Vec<_>>(), [1, 2, 3].map(day));
    assert!(known.has(day(2), "b") && !known.has(day(1), "a") && !known.has(day(3), "c"));
}

#[test]
fn a_content_that_comes_again_with_the_next_date_changes_nothing() {
    let (known, pending) = plan(Some(release(&[(1, "a")])), &[(1, "a"), (2, "a"), (4, "a"), (5, "b"), (6, "a")]);
    assert!(known.has(day(2), "a") && known.has(day(4), "a"));
    // On the 5th it was another one, which is not applied yet; the day after is the first content as before.
    assert_eq!((pending, known.has(day(6), "a")), (days(&[(5, "b")]), true));
    let (_, pending) = plan(Some(release(&[(1, "a"), (2, "b")])), &[(1, "a"), (2, "b"), (3, "a")]);
    assert_eq!(pending, days(&[(3, "a")]), "it was another one in between");
}

#[test]
fn after_a_rollback_a_history_is_always_looked_at() {
    let pipeline = pipeline();
    let last = Release { rolled_back_to: Some(3), ..release(&[(1, "a")]) };
    let table = pipeline.table(&history_name()).unwrap();
    assert!(histories(Some(last), &[(1, "a")]).has_pending(&pipeline, table));
    assert!(!histories(Some(release(&[(1, "a")])), &[(1, "a")]).has_pending(&pipeline, table));
    let followed = pipeline.table(&"silver.people".parse().unwrap()).unwrap();
    assert!(!histories(None, &[(1, "a")]).has_pending(&pipeline, followed), "it is no table of versions");
}

#[test]
fn batches_stay_until_they_are_published_or_refused() {
    let pipeline = pipeline();
    let histories = histories(None, &[(1, "a"), (2, "b"), (3, "b"), (4, "c")]);
    let stay = |last: Option<&Release>, refused: &[&str]| -> Vec<String> {
        let refused = refused.iter().map(|batch| (*batch).to_owned()).collect();
        let history = History { snapshots: Snapshots::default(), refused };
        let name = history_name();
        histories.unpublished(&pipeline, last, std::iter::once((&name, &history))).into_iter().collect()
    };
    assert_eq!(stay(None, &[]), ["a", "b", "c"]);
    assert_eq!(stay(Some(&release(&[(1, "a")])), &[]), ["b", "c"]);
    assert_eq!(stay(Some(&release(&[(1, "a"), (2, "b")])), &["c"]), ["b"], "it has a date that is not there");
    assert_eq!(stay(Some(&release(&[(1, "a"), (2, "b"), (3, "b"), (4, "c")])), &[]), [""; 0]);
}
