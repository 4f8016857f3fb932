#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use crate::load::{Pipeline, PipelineFiles};

const PEOPLE: &str = "kind = 'cleanse'\ndescription = 'Person'\nsource = 'people'\nkey = ['id']\n\
                      [[columns]]\nname = 'id'\ntype = 'long'\ndescription = 'Its number'\n\
                      [[columns]]\nname = 'seen'\ntype = 'timestamp'\ndate_key = true\ndescription = 'Last visit'\n";

/// A pipeline whose table of people is followed; `keys` are those of the table that follows.
fn pipeline(people: &str, keys: &str) -> Result<Pipeline, DefinitionError> {
    let column = |name: &str| format!("[[columns]]\nname = '{name}'\ndescription = 'It'\n");
    let columns = ["id", "seen", "valid_from"].map(column).concat();
    Pipeline::load(&PipelineFiles::from([
        ("pipeline.toml".to_owned(), "name = 'small'\ndescription = 'People'\n".to_owned()),
        ("bronze/people.toml".to_owned(), format!("description = 'Person'\npatterns = ['people*']\n{columns}")),
        ("silver/people.toml".to_owned(), people.to_owned()),
        ("silver/alike.toml".to_owned(), PEOPLE.replace("key = ['id']\n", "")),
        ("silver/all.toml".to_owned(), "kind = 'query'\ndescription = 'All'\ncolumns = []\n".to_owned()),
        ("silver/all.sql".to_owned(), "SELECT * FROM silver.people".to_owned()),
        ("silver/a_history.toml".to_owned(), format!("kind = 'versions'\ndescription = 'Over time'\n{keys}\n")),
    ]))
}

fn columns(pipeline: &Pipeline) -> Vec<(String, String)> {
    let name = "silver.a_history".parse().unwrap();
    let columns = &pipeline.table(&name).unwrap().schema.columns;
    columns.iter().map(|column| (column.name.clone(), column.data_type.to_string())).collect()
}

#[test]
fn a_table_of_versions_has_the_columns_of_the_one_it_follows_and_its_days() {
    let followed = pipeline(PEOPLE, "of = 'silver.people'").unwrap();
    let own = [("valid_from", "date"), ("valid_to", "date"), ("is_current", "bool"), ("_run_id", "text")];
    let people = [("id", "long"), ("seen", "timestamp"), ("seen_date", "date")];
    let expected = |people: &[(&str, &str)]| {
        people.iter().chain(&own).map(|(name, kind)| ((*name).to_owned(), (*kind).to_owned())).collect::<Vec<_>>()
    };
    assert_eq!(columns(&followed), expected(&people));
    let table = followed.table(&"silver.a_history".parse().unwrap()).unwrap();
    assert_eq!(
        (table.inputs.as_slice(), table.schema.columns[0].description.as_str()),
        (["silver.people".parse().unwrap()].as_slice(), "Its number")
    );
    let place = |name: &str| followed.tables.iter().position(|table| table.name.table == name).unwrap();
    assert!(place("people") < place("a_history"), "though its name comes first");
    let Definition::Versions(versions) = &table.definition else { panic!("{:?}", table.definition) };
    assert_eq!(key(versions, &followed.tables), ["id", "valid_from"]);
    let without = pipeline(PEOPLE, "of = 'silver.people'\nwithout = ['seen']").unwrap();
    assert_eq!(columns(&without), expected(&[people[0], people[2]]));
}

#[test]
fn data_tests_see_the_columns_that_were_taken_over() {
    let test = |column: &str| format!("of = 'silver.people'\n[[tests]]\nkind = 'not_null'\ncolumns = ['{column}']");
    assert_eq!(pipeline(PEOPLE, &test("seen_date")).unwrap().tests.len(), 1);
    let error = pipeline(PEOPLE, &test("seen_dat")).unwrap_err();
    assert!(error.to_string().contains("seen_dat"), "{error}");
}

#[test]
fn what_cannot_be_followed_is_an_error_with_its_file() {
    let taken = format!("{PEOPLE}[[columns]]\nname = 'valid_from'\ntype = 'text'\ndescription = 'Hired'\n");
    for (people, keys, part) in [
        (PEOPLE, "of = 'silver.peple'", "silver.peple"),
        (PEOPLE, "of = 'bronze.people'", "bronze.people is not of kind cleanse"),
        (PEOPLE, "of = 'silver.all'", "silver.all is not of kind cleanse"),
        (PEOPLE, "of = 'silver.alike'", "silver.alike has no key"),
        (PEOPLE, "of = 'silver.a_history'", "a_history"),
        (PEOPLE, "of = 'silver.people'\nwithout = ['sen']", "sen"),
        (PEOPLE, "of = 'silver.people'\nwithout = ['id']", "part of the key"),
        (PEOPLE, "of = 'silver.people'\nkey = ['id']", "key"),
        (taken.as_str(), "of = 'silver.people'", "'valid_from' is declared twice"),
    ] {
        let error = pipeline(people, keys).unwrap_err().to_string();
        assert!(error.contains(part) && error.contains("a_history"), "{keys}: {error}");
    }
}
