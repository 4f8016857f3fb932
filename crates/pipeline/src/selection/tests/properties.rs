//! Any selection over any graph, against sets made by going over all pairs of tables.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::{Index, subsequence};

use super::pipeline;
use crate::load::Pipeline;
use crate::schema::TableName;
use crate::selection::{Selection, SelectionError};

const TAGS: [&str; 3] = ["red", "green", "blue"];

/// Tables by the order in which they may be built: name, tags, numbers of the tables before it that it reads.
type Tables = Vec<(String, Vec<String>, Vec<usize>)>;

/// A term as it is meant.
#[derive(Debug, Clone)]
struct Meant {
    what: What,
    before: Option<Option<usize>>,
    after: Option<Option<usize>>,
    is_whole: bool,
}

#[derive(Debug, Clone)]
enum What {
    Bare(Index),
    Full(Index),
    Start(Index, usize),
    Layer(usize),
    Source(Index),
    Tag(usize),
    Modified,
}

fn tables() -> impl Strategy<Value = Tables> {
    let table = |layer: usize| {
        (0..3_usize, subsequence(TAGS.to_vec(), 0..=3), prop::collection::vec(any::<Index>(), 0..4))
            .prop_map(move |parts| (layer, parts))
    };
    let layer = |layer: usize, most: usize| prop::collection::vec(table(layer), 1..most);
    (layer(0, 4), layer(1, 6), layer(2, 6)).prop_map(|(bronze, silver, gold)| {
        let mut tables = Tables::new();
        for (number, (layer, (name, tags, inputs))) in bronze.into_iter().chain(silver).chain(gold).enumerate() {
            // The same names in several layers, and names that begin alike.
            let name = format!("{}/{}{}", ["bronze", "silver", "gold"][layer], ["a", "ab", "b"][name], number % 4);
            if tables.iter().any(|(known, _, _)| *known == name) {
                continue;
            }
            let inputs: BTreeSet<usize> = match tables.len() {
                0 => BTreeSet::new(),
                before if layer > 0 => inputs.iter().map(|input| input.index(before)).collect(),
                _ => BTreeSet::new(),
            };
            let tags = tags.into_iter().map(str::to_owned).collect();
            tables.push((name, tags, inputs.into_iter().collect()));
        }
        tables
    })
}

fn meant() -> impl Strategy<Value = Meant> {
    let what = prop_oneof![
        any::<Index>().prop_map(What::Bare),
        any::<Index>().prop_map(What::Full),
        (any::<Index>(), 1..3_usize).prop_map(|(table, letters)| What::Start(table, letters)),
        (0..3_usize).prop_map(What::Layer),
        any::<Index>().prop_map(What::Source),
        (0..3_usize).prop_map(What::Tag),
        Just(What::Modified),
    ];
    let steps = || prop_oneof![2 => Just(None), 1 => Just(Some(None)), 1 => (0..4_usize).prop_map(|n| Some(Some(n)))];
    (what, steps(), steps(), prop::bool::weighted(0.15)).prop_map(|(what, before, after, is_whole)| {
        let (before, after) = if is_whole { (None, None) } else { (before, after) };
        Meant { what, before, after, is_whole }
    })
}

/// A union of intersections.
fn union() -> impl Strategy<Value = Vec<Vec<Meant>>> {
    prop::collection::vec(prop::collection::vec(meant(), 1..3), 0..3)
}

/// Everything the naive way: for each pair of tables the length of the shortest way from the first to the second.
struct Naive<'a> {
    names: Vec<TableName>,
    tables: &'a Tables,
    steps: BTreeMap<(usize, usize), usize>,
    modified: &'a [bool],
}

impl<'a> Naive<'a> {
    fn new(tables: &'a Tables, modified: &'a [bool]) -> Self {
        let names: Vec<TableName> = tables.iter().map(|(name, _, _)| name.replace('/', ".").parse().unwrap()).collect();
        let mut steps = BTreeMap::new();
        for (number, (_, _, inputs)) in tables.iter().enumerate() {
            steps.extend(inputs.iter().map(|input| ((*input, number), 1)));
        }
        for through in 0..tables.len() {
            for from in 0..tables.len() {
                for to in 0..tables.len() {
                    if let (Some(one), Some(two)) = (steps.get(&(from, through)), steps.get(&(through, to))) {
                        let length = one + two;
                        let known = steps.entry((from, to)).or_insert(length);
                        *known = length.min(*known);
                    }
                }
            }
        }
        Self { names, tables, steps, modified }
    }

    fn is_within(&self, from: usize, to: usize, most: Option<Option<usize>>) -> bool {
        let Some(most) = most else { return false };
        self.steps.get(&(from, to)).is_some_and(|steps| most.is_none_or(|most| *steps <= most))
    }

    fn is_meant(&self, what: &What, table: usize) -> bool {
        let name = &self.names[table];
        match what {
            What::Bare(other) => name.table == self.names[other.index(self.names.len())].table,
            What::Full(other) => table == other.index(self.names.len()),
            What::Start(other, letters) => {
                let other = &self.names[other.index(self.names.len())].table;
                name.table.starts_with(&other[..*letters])
            }
            What::Layer(layer) => name.layer.name() == ["bronze", "silver", "gold"][*layer],
            What::Source(other) => table == other.index(self.sources()),
            What::Tag(tag) => self.tables[table].1.iter().any(|own| own == TAGS[*tag]),
            What::Modified => self.modified[table % self.modified.len()],
        }
    }

    fn sources(&self) -> usize {
        self.tables.iter().filter(|(name, _, _)| name.starts_with("bronze")).count()
    }

    fn has(&self, term: &Meant, table: usize) -> bool {
        let all = 0..self.names.len();
        let own = |other: usize| self.is_meant(&term.what, other);
        let whole = |other: usize| {
            let beyond = |end: usize| self.is_within(other, end, Some(None));
            let ends = || all.clone().filter(|end| *end == other || beyond(*end));
            ends().any(|end| table == end || self.is_within(table, end, Some(None)))
        };
        own(table)
            || all.clone().filter(|other| own(*other)).any(|other| {
                self.is_within(table, other, term.before)
                    || self.is_within(other, table, term.after)
                    || (term.is_whole && whole(other))
            })
    }

    fn union(&self, union: &[Vec<Meant>]) -> BTreeSet<TableName> {
        let has = |table: &usize| union.iter().any(|terms| terms.iter().all(|term| self.has(term, *table)));
        (0..self.names.len()).filter(has).map(|table| self.names[table].clone()).collect()
    }

    /// Whether a term names something that is not there.
    fn is_empty(&self, union: &[Vec<Meant>]) -> bool {
        let is_nowhere = |term: &Meant| {
            !matches!(term.what, What::Modified) && !(0..self.names.len()).any(|table| self.is_meant(&term.what, table))
        };
        union.iter().flatten().any(is_nowhere)
    }

    fn written(&self, union: &[Vec<Meant>]) -> Vec<String> {
        let steps = |steps: Option<Option<usize>>| steps.map(|most| most.map_or(String::new(), |n| n.to_string()));
        let term = |term: &Meant| {
            let table = |index: &Index| &self.names[index.index(self.names.len())];
            let what = match &term.what {
                What::Bare(other) => table(other).table.clone(),
                What::Full(other) => table(other).to_string(),
                What::Start(other, letters) => format!("{}*", &table(other).table[..*letters]),
                What::Layer(layer) => format!("layer:{}", ["bronze", "silver", "gold"][*layer]),
                What::Source(other) => format!("source:{}", self.names[other.index(self.sources())].table),
                What::Tag(tag) => format!("tag:{}", TAGS[*tag]),
                What::Modified => "state:modified".to_owned(),
            };
            let before = steps(term.before).map_or(String::new(), |number| format!("{number}+"));
            let after = steps(term.after).map_or(String::new(), |number| format!("+{number}"));
            format!("{}{before}{what}{after}", if term.is_whole { "@" } else { "" })
        };
        union.iter().map(|terms| terms.iter().map(term).collect::<Vec<_>>().join(",")).collect()
    }
}

fn loaded(tables: &Tables) -> Pipeline {
    let inputs = |inputs: &[usize]| inputs.iter().map(|input| tables[*input].0.replace('/', ".")).collect();
    let written: Vec<_> = tables.iter().map(|(name, tags, own)| (name.clone(), tags.clone(), inputs(own))).collect();
    pipeline(&written)
}

proptest! {
    #[test]
    fn a_selection_is_what_going_over_all_pairs_finds(
        tables in tables(),
        select in union(),
        exclude in union(),
        modified in prop::collection::vec(any::<bool>(), 4),
        in_one in any::<bool>(),
    ) {
        let naive = Naive::new(&tables, &modified);
        let as_given = |written: Vec<String>| if in_one && !written.is_empty() { vec![written.join(" ")] } else { written };
        let options = (as_given(naive.written(&select)), as_given(naive.written(&exclude)));
        let Some(selection) = Selection::parse(&options.0, &options.1).unwrap() else { return Ok(()) };
        let changed = (0..tables.len()).filter(|table| modified[table % modified.len()]);
        let changed = changed.map(|table| naive.names[table].clone()).collect();
        let resolved = selection.resolve(&loaded(&tables), &changed);

        let everything: BTreeSet<TableName> = naive.names.iter().cloned().collect();
        let mut expected = if select.is_empty() { everything } else { naive.union(&select) };
        let is_unknown = naive.is_empty(&select) || (!expected.is_empty() && naive.is_empty(&exclude));
        let excluded = naive.union(&exclude);
        expected.retain(|table| !excluded.contains(table));
        match resolved {
            Ok(tables) => {
                prop_assert!(!is_unknown, "{options:?} names what is not there");
                prop_assert_eq!(tables, expected, "{:?}", options);
            }
            Err(SelectionError::Unknown { .. }) => prop_assert!(is_unknown, "{options:?} is known"),
            Err(SelectionError::Nothing { .. }) => prop_assert!(expected.is_empty() && !is_unknown, "{options:?}"),
            Err(error) => prop_assert!(false, "{options:?}: {error}"),
        }
    }

    #[test]
    fn no_text_is_answered_with_a_panic(text in "[-a-z0-9+@:,.*?!\\[\\]{} ]{0,24}") {
        let tables = vec![("bronze/a".to_owned(), vec![], vec![]), ("gold/b".to_owned(), vec![], vec!["bronze.a".to_owned()])];
        if let Ok(Some(selection)) = Selection::parse(&[text], &[]) {
            let _ = selection.resolve(&pipeline(&tables), &BTreeSet::new());
        }
    }
}
