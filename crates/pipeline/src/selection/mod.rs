//! Selections of tables, as dbt writes them: `+gold.dim_user`, `fact_*`, `layer:silver,tag:history`.
//!
//! [`Selection::parse`] reads the options without a pipeline, [`Selection::resolve`] finds the tables. `docs/cli.md` is the
//! language.

mod lineage;
mod term;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use crate::error::nearest_few;
use crate::load::Pipeline;
use crate::schema::{Layer, TableName};
use lineage::Lineage;
use term::{Method, Term};

/// What is wrong with a selection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectionError {
    /// It cannot be read.
    #[error("{option} '{text}': {problem}")]
    Syntax {
        /// The option.
        option: &'static str,
        /// What was given.
        text: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A part of it names nothing that the pipeline has.
    #[error("{option} '{text}': {problem} in the pipeline {pipeline}")]
    Unknown {
        /// The option.
        option: &'static str,
        /// The part.
        text: String,
        /// What there is not.
        problem: String,
        /// The pipeline.
        pipeline: String,
        /// Names that may be meant, the nearest first.
        nearest: Vec<String>,
    },
    /// Each part is known, and nothing is left.
    #[error("the selection matches nothing: {reason}")]
    Nothing {
        /// What took everything away.
        reason: String,
    },
}

impl SelectionError {
    /// What to do about it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unknown { nearest, .. } if !nearest.is_empty() => {
                let names: Vec<String> = nearest.iter().map(|name| format!("'{name}'")).collect();
                Some(format!("did you mean {}?", names.join(" or ")))
            }
            Self::Unknown { .. } => Some("'medallion ls' lists the tables that are published".to_owned()),
            Self::Syntax { .. } => Some(
                "write for instance dim_user, 'fact_*', +dim_user, layer:gold, tag:history,layer:silver or \
                 state:modified+"
                    .to_owned(),
            ),
            Self::Nothing { .. } => None,
        }
    }
}

/// Options that select tables.
#[derive(Debug, Clone)]
pub struct Selection {
    /// The union of these is taken; all, if there are none.
    select: Vec<Intersection>,
    /// The union of these is taken away again.
    exclude: Vec<Intersection>,
}

/// What all of some terms have in common.
#[derive(Debug, Clone)]
struct Intersection(Vec<Term>);

impl Selection {
    /// The option that selects.
    pub const SELECT: &'static str = "--select";
    /// The option that takes away.
    pub const EXCLUDE: &'static str = "--exclude";

    /// Reads the values of both options; `None` if neither is given.
    ///
    /// # Errors
    /// If a value is empty, has an empty term, or a method, depth or glob that is none.
    pub fn parse(select: &[String], exclude: &[String]) -> Result<Option<Self>, SelectionError> {
        if select.is_empty() && exclude.is_empty() {
            return Ok(None);
        }
        let (select, exclude) = (union(Self::SELECT, select)?, union(Self::EXCLUDE, exclude)?);
        Ok(Some(Self { select, exclude }))
    }

    /// Whether it depends on what a customer has published.
    #[must_use]
    pub fn needs_state(&self) -> bool {
        let all = self.select.iter().chain(&self.exclude);
        all.flat_map(|intersection| &intersection.0).any(|term| term.method == Method::Modified)
    }

    /// Looks for mistakes that do not depend on what a customer has published.
    ///
    /// # Errors
    /// As [`Selection::resolve`].
    pub fn check(&self, pipeline: &Pipeline) -> Result<(), SelectionError> {
        match self.resolve(pipeline, &BTreeSet::new()) {
            Err(SelectionError::Nothing { .. }) if self.needs_state() => Ok(()),
            resolved => resolved.map(drop),
        }
    }

    /// The selected sources (as tables of bronze) and tables. `modified` are those whose definition is another one than
    /// that which the published table was built with.
    ///
    /// # Errors
    /// If a term names nothing that the pipeline has, or nothing is left.
    pub fn resolve(
        &self,
        pipeline: &Pipeline,
        modified: &BTreeSet<TableName>,
    ) -> Result<BTreeSet<TableName>, SelectionError> {
        let resolver = Resolver { pipeline, lineage: Lineage::of(pipeline), modified };
        let mut selected = match self.select.is_empty() {
            true => resolver.lineage.tables().cloned().collect(),
            false => resolver.union(Self::SELECT, &self.select)?,
        };
        if selected.is_empty() {
            return Err(SelectionError::Nothing { reason: self.reason() });
        }
        for table in resolver.union(Self::EXCLUDE, &self.exclude)? {
            selected.remove(&table);
        }
        if selected.is_empty() {
            let reason = format!("{} takes away all that is selected", Self::EXCLUDE);
            return Err(SelectionError::Nothing { reason });
        }
        Ok(selected)
    }

    fn reason(&self) -> String {
        if self.needs_state() {
            return "no selected table has another definition than the published one was built with".to_owned();
        }
        "no table is in all the sets whose intersection is asked for".to_owned()
    }
}

/// The terms of an option: several values, and words within one, add up.
fn union(option: &'static str, values: &[String]) -> Result<Vec<Intersection>, SelectionError> {
    let mut union = Vec::new();
    for text in values {
        let error = |problem: String| SelectionError::Syntax { option, text: text.clone(), problem };
        if text.trim().is_empty() {
            return Err(error("it is empty".to_owned()));
        }
        for word in text.split_whitespace() {
            let terms = word.split(',').map(|term| Term::parse(term).map_err(error)).collect::<Result<_, _>>()?;
            union.push(Intersection(terms));
        }
    }
    Ok(union)
}

/// Finds the tables of a selection.
struct Resolver<'a> {
    pipeline: &'a Pipeline,
    lineage: Lineage<'a>,
    modified: &'a BTreeSet<TableName>,
}

impl Resolver<'_> {
    fn union(&self, option: &'static str, union: &[Intersection]) -> Result<BTreeSet<TableName>, SelectionError> {
        let mut tables = BTreeSet::new();
        for Intersection(terms) in union {
            let mut common: Option<BTreeSet<TableName>> = None;
            for term in terms {
                let of_term = self.term(option, term)?;
                common = Some(match common {
                    None => of_term,
                    Some(before) => before.intersection(&of_term).cloned().collect(),
                });
            }
            tables.extend(common.unwrap_or_default());
        }
        Ok(tables)
    }

    fn term(&self, option: &'static str, term: &Term) -> Result<BTreeSet<TableName>, SelectionError> {
        let matching: BTreeSet<TableName> =
            self.lineage.tables().filter(|table| self.matches(term, table)).cloned().collect();
        // Nothing modified is an answer; a name that is none is a mistake, also beside others that are some.
        if matching.is_empty() && term.method != Method::Modified {
            return Err(self.unknown(option, term));
        }
        let mut found = matching.clone();
        found.extend(self.lineage.before(&matching, term.before));
        found.extend(self.lineage.after(&matching, term.after));
        if term.is_whole {
            found.extend(self.lineage.after(&matching, usize::MAX));
            let before = self.lineage.before(&found, usize::MAX);
            found.extend(before);
        }
        Ok(found)
    }

    fn matches(&self, term: &Term, table: &TableName) -> bool {
        match term.method {
            Method::Name => term.matches(&table.table),
            Method::FullName => term.matches(&table.to_string()),
            Method::Layer => term.matches(table.layer.name()),
            Method::Source => table.layer == Layer::Bronze && term.matches(&table.table),
            Method::Tag => self.tags(table).iter().any(|tag| term.matches(tag)),
            Method::Modified => self.modified.contains(table),
        }
    }

    fn tags(&self, table: &TableName) -> &[String] {
        let source = self.pipeline.sources.get(&table.table).filter(|_| table.layer == Layer::Bronze);
        let tags = source.map(|source| &source.source.tags[..]);
        tags.or_else(|| Some(self.pipeline.table(table)?.definition.tags())).unwrap_or_default()
    }

    fn unknown(&self, option: &'static str, term: &Term) -> SelectionError {
        let tables = || self.lineage.tables();
        let (what, known): (&str, BTreeSet<String>) = match term.method {
            Method::Name => ("table", tables().map(|table| table.table.clone()).collect()),
            Method::FullName | Method::Modified => ("table", tables().map(ToString::to_string).collect()),
            Method::Layer => ("layer", Layer::ALL.iter().map(|layer| layer.name().to_owned()).collect()),
            Method::Source => ("source", self.pipeline.sources.keys().cloned().collect()),
            Method::Tag => ("tag", tables().flat_map(|table| self.tags(table)).cloned().collect()),
        };
        let value = &term.value;
        let problem = match term.is_glob() {
            true => format!("no {what} matches '{value}'"),
            false => format!("there is no {what} '{value}'"),
        };
        let literal: String = value.chars().filter(|c| !matches!(c, '*' | '?' | '[' | ']')).collect();
        let nearest = nearest_few(&literal, known.iter().map(String::as_str));
        let pipeline = self.pipeline.name.clone();
        SelectionError::Unknown { option, text: term.text.clone(), problem, pipeline, nearest }
    }
}
