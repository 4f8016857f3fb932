//! Organisations and positions: trees with the path and depth columns a site keeps.

use std::path::Path;

use rand::Rng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand_chacha::ChaCha8Rng;

use crate::error::GenerateError;
use crate::random::section;
use crate::source::Source;
use crate::writer::{Quoted, RowWriter};

/// What a tree looks like.
struct Shape {
    section: &'static str,
    /// Share of each level, from the roots down.
    levels: &'static [u64],
    /// Names of the frameworks, one per root.
    frameworks: &'static [&'static str],
    first_id: u64,
    /// Ids do not follow the levels: parts of the tree were moved later.
    shuffled: bool,
    /// Leading and closing words of names.
    words: (&'static [&'static str], &'static [&'static str]),
}

static ORGANISATIONS: Shape = Shape {
    section: "organisations",
    levels: &[2, 16, 154, 321, 508],
    frameworks: &["Care Network", "Head Office, Shared Services"],
    first_id: 1,
    shuffled: false,
    words: (
        &[
            "Northern",
            "Harbour",
            "Riverside",
            "St Brigid's",
            "Lakeview",
            "Western Plains",
            "Alpine",
            "Île-de-Lune",
            "Quảng Bình",
            "\"Old Mill\"",
            "Coastal",
            "Central",
        ],
        &[
            "Region",
            "Campus",
            "Clinic",
            "Ward",
            "Pharmacy",
            "Imaging",
            "Laboratory",
            "Outpatients",
            "Catering",
            "Depot",
        ],
    ),
};

static POSITIONS: Shape = Shape {
    section: "positions",
    levels: &[1, 8, 50, 177, 323, 238, 77, 15],
    frameworks: &["Job Architecture"],
    first_id: 330,
    shuffled: true,
    words: (
        &[
            "Chief",
            "Principal",
            "Senior",
            "Lead",
            "Associate",
            "Regional",
            "Junior",
            "Acting",
            "Deputy",
            "Shift",
            "Clinical",
            "Trainee",
        ],
        &[
            "Procurement Officer",
            "Nurse Educator",
            "Data Steward",
            "Payroll Partner",
            "Theatre Coordinator",
            "Archivist",
            "Patient Liaison",
            "Risk & Quality Analyst",
            "Dietitian",
            "Radiographer",
            "Learning Designer",
            "Ward Clerk",
            "Fleet Planner",
            "Pharmacist",
            "Claims Assessor",
            "Facilities Technician",
        ],
    ),
};

/// A node of a tree.
pub(crate) struct Node {
    pub(crate) id: u64,
    pub(crate) name: Quoted,
    parent: Option<usize>,
    root: usize,
    depth: u64,
}

/// A tree, or several: nodes come after their parents.
pub(crate) struct Tree {
    nodes: Vec<Node>,
    frameworks: &'static [&'static str],
}

impl Tree {
    pub(crate) fn organisations(seed: u64, count: u64) -> Self {
        Self::grow(seed, count, &ORGANISATIONS)
    }

    pub(crate) fn positions(seed: u64, count: u64) -> Self {
        Self::grow(seed, count, &POSITIONS)
    }

    fn grow(seed: u64, count: u64, shape: &Shape) -> Self {
        let mut generator = section(seed, shape.section);
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let roots = shape.frameworks.len().min(count);
        let ids = node_ids(&mut generator, count, roots, shape);
        let mut nodes: Vec<Node> = Vec::with_capacity(count);
        let (mut level_start, mut above) = (0, 0..0);
        for level_end in level_ends(count, roots, shape.levels) {
            for (index, id) in ids.iter().enumerate().take(level_end).skip(level_start) {
                let heads = above.start..above.start + above.len().div_ceil(2);
                let parent = if heads.is_empty() { None } else { Some(generator.random_range(heads)) };
                let (root, depth) = parent.map_or((index, 1), |parent| (nodes[parent].root, nodes[parent].depth + 1));
                let name = node_name(&mut generator, index, parent, shape);
                nodes.push(Node { id: *id, name: Quoted::new(&name), parent, root, depth });
            }
            if level_end > level_start {
                above = level_start..level_end;
            }
            level_start = level_end;
        }
        Self { nodes, frameworks: shape.frameworks }
    }

    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The node at an index, if there is one.
    pub(crate) fn node(&self, index: usize) -> Option<&Node> {
        self.nodes.get(index)
    }

    /// Ids from the root down to the node.
    fn path(&self, node: &Node) -> String {
        let mut ids = vec![node.id.to_string()];
        let mut parent = node.parent;
        while let Some(above) = parent.and_then(|parent| self.nodes.get(parent)) {
            ids.push(above.id.to_string());
            parent = above.parent;
        }
        ids.reverse();
        ids.join("|")
    }
}

/// Writes a tree ordered by id.
pub(crate) fn write(tree: &Tree, source: Source, path: &Path) -> Result<u64, GenerateError> {
    let mut writer = RowWriter::create(source, path)?;
    let mut ordered: Vec<&Node> = tree.nodes.iter().collect();
    ordered.sort_unstable_by_key(|node| node.id);
    for node in ordered {
        let parent = node.parent.and_then(|parent| tree.nodes.get(parent)).map_or(0, |parent| parent.id);
        let framework = tree.frameworks.get(node.root).copied().unwrap_or_default();
        writer.number(node.id).quoted(&node.name).number(parent).text(framework);
        writer.text(&tree.path(node)).number(node.depth).end_row()?;
    }
    writer.finish()
}

/// Where each level ends; every root is on the first.
fn level_ends(count: usize, roots: usize, shares: &[u64]) -> Vec<usize> {
    let total: u64 = shares.iter().sum();
    let mut seen = 0;
    shares
        .iter()
        .enumerate()
        .map(|(level, share)| {
            seen += share;
            let end = (count as u64 * seen + total / 2) / total.max(1);
            if level == 0 { roots } else { usize::try_from(end).unwrap_or(count).max(roots).min(count) }
        })
        .collect()
}

/// Ascending ids with gaps where nodes were deleted; the roots keep the first.
fn node_ids(generator: &mut ChaCha8Rng, count: usize, roots: usize, shape: &Shape) -> Vec<u64> {
    let mut next = shape.first_id;
    let mut ids = Vec::with_capacity(count);
    for _ in 0..count {
        ids.push(next);
        next += if generator.random_bool(0.02) { 2 } else { 1 };
    }
    if shape.shuffled {
        ids[roots..].shuffle(generator);
    }
    ids
}

fn node_name(generator: &mut ChaCha8Rng, index: usize, parent: Option<usize>, shape: &Shape) -> String {
    if parent.is_none() {
        return shape.frameworks.get(index).copied().unwrap_or_default().to_owned();
    }
    let leading = shape.words.0.choose(generator).copied().unwrap_or_default();
    let closing = shape.words.1.choose(generator).copied().unwrap_or_default();
    match index % 97 {
        13 => format!("{leading} {closing}\n(temporary)"),
        31 => closing.to_owned(),
        _ => format!("{leading} {closing} {index}"),
    }
}
