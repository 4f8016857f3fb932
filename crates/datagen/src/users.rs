//! Writes the users source: one row per person.

use std::path::Path;

use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use crate::customer::Customer;
use crate::error::GenerateError;
use crate::people::{ADMINISTRATOR, GUEST};
use crate::random::{member, section};
use crate::source::Source;
use crate::trees::Node;
use crate::writer::RowWriter;

static PLACES: [(&str, &str); 12] = [
    ("Australia", "Adelaide"),
    ("Australia", "Perth"),
    ("Australia", "Wagga Wagga"),
    ("New Zealand", "Dunedin"),
    ("Ireland", "Cork"),
    ("Canada", "Québec"),
    ("Viet Nam", "Đà Nẵng"),
    ("Thailand", "เชียงใหม่"),
    ("United Arab Emirates", "الشارقة"),
    ("Spain", "A Coruña"),
    ("Netherlands", "'s-Hertogenbosch"),
    ("Poland", "Łódź"),
];

const FIRST_ASSIGNMENT: u64 = 1_007;
/// Staff work in this share of the organisations.
const STAFFED: usize = 40;

/// What a person's account looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Account {
    Active,
    Suspended,
    Deleted,
}

impl Account {
    fn text(self) -> &'static str {
        match self {
            Account::Active => "Active",
            Account::Suspended => "Suspended",
            Account::Deleted => "Deleted",
        }
    }
}

pub(crate) fn write(customer: &Customer, path: &Path) -> Result<u64, GenerateError> {
    let mut writer = RowWriter::create(Source::Users, path)?;
    let generator = section(customer.seed, "users");
    for user in 0..customer.population.users() {
        let mut generator = member(&generator, user);
        let name = customer.population.name(user);
        let account = account_of(&mut generator, customer, user);
        writer.number(customer.population.id(user)).text(&name.full).text(&name.first).text(&name.last);
        write_place(&mut writer, &mut generator, user);
        writer.text(account.text());
        write_job(&mut writer, &mut generator, customer, user, account);
        write_superiors(&mut writer, &mut generator, customer, user);
        writer.end_row()?;
    }
    writer.finish()
}

fn account_of(generator: &mut ChaCha8Rng, customer: &Customer, user: u32) -> Account {
    let chance = generator.random_range(0..100_u32);
    if user <= ADMINISTRATOR {
        return Account::Active;
    }
    match chance {
        0..5 => Account::Suspended,
        5..8 if !customer.forest.contains(user) => Account::Deleted,
        _ => Account::Active,
    }
}

fn write_place(writer: &mut RowWriter, generator: &mut ChaCha8Rng, user: u32) {
    let chance = generator.random_range(0..1_000_u32);
    let (country, city) = PLACES.choose(generator).copied().unwrap_or_default();
    match chance {
        _ if user == GUEST => writer.blank().blank(),
        0..5 => writer.blank().blank(),
        5..10 => writer.text(country).blank(),
        _ => writer.text(country).text(city),
    };
}

fn write_job(writer: &mut RowWriter, generator: &mut ChaCha8Rng, customer: &Customer, user: u32, account: Account) {
    let unassigned = generator.random_bool(0.015) && !customer.forest.contains(user) && user != ADMINISTRATOR;
    let staffed = (customer.organisations.len() / STAFFED).max(1);
    let organisation = customer.organisations.node(generator.random_range(0..staffed) * STAFFED);
    let position = customer.positions.node(generator.random_range(0..customer.positions.len().max(1)));
    let chance = generator.random_range(0..1_000_u32);
    if user == GUEST || unassigned || account == Account::Deleted {
        for _ in 0..6 {
            writer.blank();
        }
        return;
    }
    writer.number(FIRST_ASSIGNMENT + assignment_place(customer, user));
    let organisation = organisation.filter(|_| chance >= 2);
    let position = position.filter(|_| chance != 2 && user != ADMINISTRATOR);
    match position {
        Some(position) if chance >= 30 => writer.quoted(&position.name),
        _ => writer.text(if user == ADMINISTRATOR { "Site Admin" } else { "Site Relief\n(acting)" }),
    };
    write_node(writer, organisation);
    write_node(writer, position);
}

/// Unique per person, and in another order than their ids: jobs were not handed out in the order of accounts.
fn assignment_place(customer: &Customer, user: u32) -> u64 {
    u64::from(customer.population.learner_at(user - 1))
}

fn write_node(writer: &mut RowWriter, node: Option<&Node>) {
    match node {
        Some(node) => writer.number(node.id).quoted(&node.name),
        None => writer.blank().blank(),
    };
}

/// Manager and appraiser: mostly the same person, a single space for the name where there is none.
fn write_superiors(writer: &mut RowWriter, generator: &mut ChaCha8Rng, customer: &Customer, user: u32) {
    let manager = customer.forest.manager_of(user);
    let other = generator.random_bool(0.03).then(|| generator.random_range(ADMINISTRATOR..customer.population.users()));
    let appraiser = manager.map(|manager| other.filter(|&other| other != user).unwrap_or(manager));
    for superior in [manager, appraiser] {
        match superior {
            Some(superior) => {
                writer.number(customer.population.id(superior)).text(&customer.population.name(superior).full)
            }
            None => writer.blank().text(" "),
        };
    }
}
