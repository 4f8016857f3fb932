//! Writes what people did: e-learning attempts and seminar attendance.

use std::path::Path;

use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use crate::customer::Customer;
use crate::error::GenerateError;
use crate::learners::LearnerWalk;
use crate::random::{Share, member, quotas, section};
use crate::source::Source;
use crate::times::{DAY, FIRST, LAST};
use crate::writer::RowWriter;

/// What every source should have, with how often it comes. A file's first rows have each value once.
type Frequencies = [(&'static str, u32)];

static SCO_STATUSES: [(&str, u32); 7] = [
    ("Incomplete", 40),
    ("Passed", 18),
    ("Completed", 20),
    ("", 10),
    ("Not Attempted", 5),
    ("Browsed", 3),
    ("Failed", 4),
];

static ATTENDANCES: [(&str, u32); 5] =
    [("Fully attended", 55), ("Not set", 20), ("No show", 12), ("Unable to attend", 8), ("Partially attended", 5)];

static SIGNUPS: [(&str, u32); 4] = [("Booked", 60), ("User cancelled", 15), ("Waitlisted", 10), ("", 15)];

static SESSION_MINUTES: [(i64, u32); 8] =
    [(60, 50), (90, 15), (120, 10), (180, 8), (240, 5), (360, 5), (540, 5), (1_560, 2)];

/// Most people never open an e-learning package, a few try again and again.
const ATTEMPTS_PER_PERSON: [u32; 8] = [0, 0, 0, 1, 1, 2, 4, 8];
const SESSIONS_PER_PERSON: [u32; 8] = [0, 0, 0, 0, 1, 1, 2, 5];
/// One attempt in so many is at the course that has no enrolments.
const ATTEMPTS_WITHOUT_COURSE: u64 = 30;
/// Every so many-th course has a seminar.
const COURSES_PER_SEMINAR: usize = 8;
const SESSIONS_PER_EVENT: usize = 3;
const PEOPLE_PER_SESSION: u64 = 12;

fn draw(generator: &mut ChaCha8Rng, row: u64, choices: &Frequencies) -> &'static str {
    let first = usize::try_from(row).ok().and_then(|row| choices.get(row));
    let drawn = choices.choose_weighted(generator, |choice| choice.1).ok();
    first.or(drawn).map_or("", |choice| choice.0)
}

pub(crate) fn write_scorm(customer: &Customer, path: &Path) -> Result<u64, GenerateError> {
    let mut writer = RowWriter::create(Source::Scorm, path)?;
    let mut shares = section(customer.seed, "scorm shares");
    let learners = customer.population.learners() as usize;
    let quotas = quotas(&mut shares, customer.counts.scorm, learners, &ATTEMPTS_PER_PERSON);
    let generator = section(customer.seed, "scorm");
    let mut walk = LearnerWalk::new(customer);
    let mut row = 0;
    for quota in quotas {
        let Some((user, courses)) = walk.next() else { break };
        let mut generator = member(&generator, user);
        for attempt in 0..quota {
            let course = played_course(&mut generator, customer, courses, row);
            let start = attempt_start(&mut generator, customer.population.joined(user), attempt, quota);
            write_attempt(&mut writer, &mut generator, customer, (user, course, start), row)?;
            row += 1;
        }
    }
    writer.finish()
}

fn played_course(generator: &mut ChaCha8Rng, customer: &Customer, enrolled: &[usize], row: u64) -> usize {
    let any = generator.random_range(0..customer.enrollable_courses());
    if row % ATTEMPTS_WITHOUT_COURSE == 9 {
        return customer.enrollable_courses();
    }
    let own = enrolled.choose(generator).copied();
    if generator.random_bool(0.88) { own.unwrap_or(any) } else { any }
}

/// Each attempt has a stretch of time of its own, and only a first one can lack its start: no two rows are equal.
fn attempt_start(generator: &mut ChaCha8Rng, joined: i64, attempt: u32, attempts: u32) -> Option<i64> {
    let stretch = (LAST - joined) / i64::from(attempts.max(1));
    let start = joined + stretch * i64::from(attempt) + generator.random_range(0..stretch.max(1));
    let missing = generator.random_bool(0.04) && attempt == 0;
    (!missing).then_some(start)
}

fn write_attempt(
    writer: &mut RowWriter,
    generator: &mut ChaCha8Rng,
    customer: &Customer,
    (user, course, start): (u32, usize, Option<i64>),
    row: u64,
) -> Result<(), GenerateError> {
    let Some(course) = customer.courses.get(course) else { return Ok(()) };
    let package = course.packages.choose(generator).unwrap_or(&course.entry.name);
    let tens = generator.random_range(1..3_000_u64) * generator.random_range(1..100_u64);
    let time = (!generator.random_bool(0.3)).then_some(tens * 10);
    let status = draw(generator, row, &SCO_STATUSES);
    writer.number(customer.population.id(user)).number(course.entry.id).quoted(&course.entry.name).quoted(package);
    writer.moment(start).number_or_blank(time).text(status).end_row()
}

/// The sessions there are: some courses have seminars, each with equally many sessions in events of a few.
struct Seminars {
    generator: ChaCha8Rng,
    /// How many courses have seminars.
    courses: usize,
    sessions_per_course: usize,
}

/// One session of a seminar.
struct Session {
    event_id: u64,
    session_id: u64,
    course: usize,
    times: Option<(i64, i64)>,
    minutes: u64,
}

impl Seminars {
    fn new(customer: &Customer, attendances: u64, most: u32) -> Self {
        let courses = customer.enrollable_courses().div_ceil(COURSES_PER_SEMINAR);
        let wanted = attendances / (PEOPLE_PER_SESSION * courses as u64) + 1;
        let sessions = usize::try_from(wanted).unwrap_or(1).max(most as usize + most as usize / 2 + 1);
        Self { generator: section(customer.seed, "sessions"), courses, sessions_per_course: sessions }
    }

    fn session(&self, seminar: usize, number: usize) -> Session {
        let events = self.sessions_per_course.div_ceil(SESSIONS_PER_EVENT);
        let index = seminar * self.sessions_per_course + number;
        let mut generator = member(&self.generator, u32::try_from(index).unwrap_or(u32::MAX));
        let day = generator.random_range(FIRST / DAY..LAST / DAY - 3);
        let start = day * DAY + generator.random_range(32..68) * 900;
        let minutes = SESSION_MINUTES.choose_weighted(&mut generator, |choice| choice.1).map_or(60, |choice| choice.0);
        let break_minutes = if generator.random_bool(0.05) { 15 } else { 0 };
        let scheduled = !generator.random_bool(0.02);
        Session {
            event_id: 47 + (seminar * events + number / SESSIONS_PER_EVENT) as u64,
            session_id: 90 + index as u64,
            course: seminar * COURSES_PER_SEMINAR,
            times: scheduled.then_some((start, start + minutes * 60)),
            minutes: (minutes - break_minutes).unsigned_abs(),
        }
    }

    /// A seminar of a course the person is enrolled into, or else the one everybody is invited to.
    fn choose(&self, generator: &mut ChaCha8Rng, enrolled: &[usize]) -> usize {
        let own: Vec<usize> = enrolled.iter().copied().filter(|course| course % COURSES_PER_SEMINAR == 0).collect();
        let any = generator.random_range(0..self.courses);
        let chosen = own.choose(generator).map_or(0, |course| course / COURSES_PER_SEMINAR);
        if generator.random_bool(0.95) { chosen } else { any }
    }
}

pub(crate) fn write_seminars(customer: &Customer, path: &Path) -> Result<u64, GenerateError> {
    let mut writer = RowWriter::create(Source::SeminarAttendance, path)?;
    let distinct = customer.counts.seminar_attendance - customer.counts.seminar_duplicates;
    let mut duplicates = Share::new(customer.counts.seminar_duplicates, distinct);
    let mut shares = section(customer.seed, "seminar shares");
    let learners = customer.population.learners() as usize;
    let quotas = quotas(&mut shares, distinct, learners, &SESSIONS_PER_PERSON);
    let seminars = Seminars::new(customer, distinct, quotas.iter().copied().max().unwrap_or(0));
    let generator = section(customer.seed, "seminar_attendance");
    let (mut walk, mut visited, mut row) = (LearnerWalk::new(customer), Vec::new(), 0);
    for quota in quotas {
        let Some((user, courses)) = walk.next() else { break };
        let mut generator = member(&generator, user);
        visited.clear();
        for _ in 0..quota {
            let session = unvisited_session(&mut generator, &seminars, courses, &mut visited);
            write_attendance(&mut writer, &mut generator, customer, (user, &session), row);
            if duplicates.take(1) > 0 { writer.end_row_twice() } else { writer.end_row() }?;
            row += 1;
        }
    }
    writer.finish()
}

/// Nobody is listed twice for a session; a course has more sessions than anybody visits.
fn unvisited_session(
    generator: &mut ChaCha8Rng,
    seminars: &Seminars,
    courses: &[usize],
    visited: &mut Vec<(usize, usize)>,
) -> Session {
    let seminar = seminars.choose(generator, courses);
    let mut number = generator.random_range(0..seminars.sessions_per_course);
    while visited.contains(&(seminar, number)) {
        number = (number + 1) % seminars.sessions_per_course;
    }
    visited.push((seminar, number));
    seminars.session(seminar, number)
}

fn write_attendance(
    writer: &mut RowWriter,
    generator: &mut ChaCha8Rng,
    customer: &Customer,
    (user, session): (u32, &Session),
    row: u64,
) {
    let Some(course) = customer.courses.get(session.course) else { return };
    let attendance = draw(generator, row, &ATTENDANCES);
    let signup = if attendance == "Not set" { draw(generator, u64::MAX, &SIGNUPS) } else { attendance };
    writer.number(customer.population.id(user)).number(course.entry.id).quoted(&course.seminar);
    writer.number(session.event_id).number(session.session_id).text(attendance).text(signup);
    writer.moment(session.times.map(|times| times.0)).moment(session.times.map(|times| times.1));
    writer.number(session.minutes);
}
