#![allow(clippy::unwrap_used, clippy::panic)]

mod properties;

use std::collections::BTreeSet;

use super::{Selection, SelectionError};
use crate::load::{Pipeline, PipelineFiles};
use crate::schema::TableName;

/// A pipeline of tables that are queries: `(file without ending, tags, inputs)`.
pub(super) fn pipeline(tables: &[(String, Vec<String>, Vec<String>)]) -> Pipeline {
    let mut files =
        PipelineFiles::from([("pipeline.toml".to_owned(), "name = \"p\"\ndescription = \"d\"\n".to_owned())]);
    for (name, tags, inputs) in tables {
        let column = "[[columns]]\nname = \"id\"\ndescription = \"d\"\n";
        let head = format!("description = \"d\"\ntags = {tags:?}\n");
        let text = match name.split_once('/').unwrap().0 {
            "bronze" => format!("{head}patterns = [\"{}*\"]\n{column}", name.replace('/', "_")),
            "silver" => format!("kind = \"query\"\n{head}{column}type = \"long\"\n"),
            _ => format!("kind = \"bridge\"\n{head}{column}type = \"long\"\n"),
        };
        files.insert(format!("{name}.toml"), text);
        if !name.starts_with("bronze") {
            let from = if inputs.is_empty() { String::new() } else { format!(" FROM {}", inputs.join(", ")) };
            files.insert(format!("{name}.sql"), format!("SELECT 1 AS id{from}"));
        }
    }
    Pipeline::load(&files).unwrap()
}

/// users -> users -> dim_user -> fact_use, and beside it courses -> dim_course -> fact_use, dim_date alone.
fn site() -> Pipeline {
    let table = |name: &str, tags: &[&str], inputs: &[&str]| {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        (name.to_owned(), owned(tags), owned(inputs))
    };
    pipeline(&[
        table("bronze/users", &["pii"], &[]),
        table("bronze/courses", &[], &[]),
        table("silver/users", &["pii"], &["bronze.users"]),
        table("silver/courses", &[], &["bronze.courses"]),
        table("gold/dim_user", &["pii", "wide"], &["silver.users"]),
        table("gold/dim_course", &[], &["silver.courses"]),
        table("gold/dim_date", &[], &[]),
        table("gold/fact_use", &["wide"], &["gold.dim_user", "gold.dim_course"]),
    ])
}

fn options(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn resolve(select: &[&str], exclude: &[&str]) -> Result<String, SelectionError> {
    let modified = BTreeSet::from(["gold.dim_course".parse::<TableName>().unwrap()]);
    let selection = Selection::parse(&options(select), &options(exclude))?.unwrap();
    let names: Vec<String> = selection.resolve(&site(), &modified)?.iter().map(ToString::to_string).collect();
    Ok(names.join(" "))
}

#[test]
fn selections_are_what_dbt_makes_of_them() {
    for (select, exclude, expected) in [
        (&["dim_user"][..], &[][..], "gold.dim_user"),
        (&["users"], &[], "bronze.users silver.users"),
        (&["silver.users"], &[], "silver.users"),
        (&["dim_*"], &[], "gold.dim_course gold.dim_date gold.dim_user"),
        (&["*.users"], &[], "bronze.users silver.users"),
        (&["dim_[cd]*"], &[], "gold.dim_course gold.dim_date"),
        (&["+dim_user"], &[], "bronze.users silver.users gold.dim_user"),
        (&["1+dim_user"], &[], "silver.users gold.dim_user"),
        (&["silver.users+"], &[], "silver.users gold.dim_user gold.fact_use"),
        (&["1+silver.users+1"], &[], "bronze.users silver.users gold.dim_user"),
        (&["0+dim_user+0"], &[], "gold.dim_user"),
        (
            &["@dim_user"],
            &[],
            "bronze.courses bronze.users silver.courses silver.users gold.dim_course gold.dim_user gold.fact_use",
        ),
        (&["layer:silver"], &[], "silver.courses silver.users"),
        (&["source:users"], &[], "bronze.users"),
        (&["source:users+1"], &[], "bronze.users silver.users"),
        (&["tag:pii"], &[], "bronze.users silver.users gold.dim_user"),
        (&["tag:pii,layer:gold"], &[], "gold.dim_user"),
        (&["tag:pii,tag:wide,dim_*"], &[], "gold.dim_user"),
        (&["dim_date silver.users"], &[], "silver.users gold.dim_date"),
        (&["dim_date", "tag:wide"], &[], "gold.dim_date gold.dim_user gold.fact_use"),
        (&["state:modified"], &[], "gold.dim_course"),
        (&["state:modified+"], &[], "gold.dim_course gold.fact_use"),
        (&["layer:gold"], &["dim_*"], "gold.fact_use"),
        (&["layer:gold"], &["state:modified dim_date", "fact_use"], "gold.dim_user"),
        (&[], &["layer:bronze", "layer:silver", "dim_user+"], "gold.dim_course gold.dim_date"),
    ] {
        assert_eq!(resolve(select, exclude).as_deref(), Ok(expected), "{select:?} without {exclude:?}");
    }
}

#[test]
fn mistakes_in_a_selection_are_named() {
    for (text, part) in [
        ("", "--select '': it is empty"),
        ("  ", "it is empty"),
        (",dim_user", "a comma needs a term on each side"),
        ("dim_user,", "a comma needs a term on each side"),
        ("dim_user,,tag:pii", "a comma needs a term on each side"),
        ("dim_user, tag:pii", "a comma needs a term on each side"),
        ("+", "names nothing"),
        ("layer:", "names nothing"),
        (
            "lyer:gold",
            "'lyer:' is not a way to select; known are layer:, source:, state:, tag:; did you mean 'layer:'?",
        ),
        ("state:new", "the only one is state:modified"),
        ("@dim_user+", "@ takes both directions already"),
        ("dim_user+x", "'+' in 'dim_user+x' is part of no name"),
        ("dim;user", "';' in 'dim;user' is part of no name"),
        ("dim_[a", "is not a pattern"),
        ("99999999999999999999999+dim_user", "too many steps"),
    ] {
        let error = resolve(&[text], &[]).unwrap_err();
        assert!(matches!(error, SelectionError::Syntax { .. }), "{text}: {error}");
        assert!(error.to_string().contains(part), "{text}: {error}");
    }
}

#[test]
fn what_is_not_there_is_told_with_the_nearest_names() {
    for (select, message, hint) in [
        ("dim_usr", "there is no table 'dim_usr' in the pipeline p", "did you mean 'dim_user'"),
        ("gold.dim_usr+", "there is no table 'gold.dim_usr'", "did you mean 'gold.dim_user'"),
        ("+fct_*", "no table matches 'fct_*'", "did you mean 'fact_use'"),
        ("layer:glod", "there is no layer 'glod'", "did you mean 'gold'"),
        ("source:user", "there is no source 'user'", "did you mean 'users'"),
        ("tag:pi", "there is no tag 'pi'", "did you mean 'pii'"),
    ] {
        for (select, exclude) in [(&[select][..], &[][..]), (&["dim_date"], &[select]), (&["dim_date", select], &[])] {
            let error = resolve(select, exclude).unwrap_err();
            assert!(error.to_string().contains(message), "{error}");
            assert!(error.hint().unwrap().starts_with(hint), "{:?}", error.hint());
        }
    }
    let error = resolve(&["layer:silver,dim_user"], &[]).unwrap_err();
    assert!(matches!(&error, SelectionError::Nothing { reason } if reason.contains("intersection")), "{error}");
    let error = resolve(&["dim_user"], &["tag:wide"]).unwrap_err();
    assert!(matches!(&error, SelectionError::Nothing { reason } if reason.contains("--exclude")), "{error}");
    let selection = Selection::parse(&options(&["state:modified"]), &[]).unwrap().unwrap();
    assert!(matches!(selection.resolve(&site(), &BTreeSet::new()), Err(SelectionError::Nothing { .. })));
    assert_eq!(selection.check(&site()), Ok(()), "who is asked before a customer is known cannot tell");
}

#[test]
fn no_option_is_no_selection() {
    assert!(Selection::parse(&[], &[]).unwrap().is_none());
}
