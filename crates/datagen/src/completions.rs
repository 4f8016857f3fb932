//! Writes the three completion sources: courses, programs, certifications.

use std::path::Path;

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::assignments::Assignment;
use crate::customer::Customer;
use crate::error::GenerateError;
use crate::learners::LearnerWalk;
use crate::random::{member, section};
use crate::source::Source;
use crate::times::{DAY, FIRST, LAST, between, midnight};
use crate::writer::RowWriter;

/// When something was done, and what its status says.
struct Progress {
    started: Option<i64>,
    completed: Option<i64>,
    status: &'static str,
}

pub(crate) fn write_courses(customer: &Customer, path: &Path) -> Result<u64, GenerateError> {
    let mut writer = RowWriter::create(Source::CourseCompletions, path)?;
    let generator = section(customer.seed, "course_completions");
    let mut walk = LearnerWalk::new(customer);
    while let Some((user, courses)) = walk.next() {
        let mut generator = member(&generator, user);
        let joined = customer.population.joined(user);
        for course in courses.iter().filter_map(|&course| customer.courses.get(course)) {
            let bulk = generator.random_bool(0.15) && course.bulk_enrolment >= joined;
            let enrolled = if bulk { course.bulk_enrolment } else { between(&mut generator, joined, LAST - DAY) };
            let progress = course_progress(&mut generator, enrolled);
            let has_enrolment = has_enrolment(&mut generator, &progress);
            let due = generator.random_bool(0.15).then(|| enrolled + generator.random_range(30 * DAY..400 * DAY));
            let entry = &course.entry;
            writer.number(customer.population.id(user)).number(entry.id).quoted(&entry.name).quoted(&entry.category);
            writer.moment(has_enrolment.then_some(enrolled)).moment(progress.started).moment(progress.completed);
            writer.text(progress.status).moment(due).number(entry.in_dashboard).end_row()?;
        }
    }
    writer.finish()
}

/// People credited with prior learning were often never enrolled.
fn has_enrolment(generator: &mut ChaCha8Rng, progress: &Progress) -> bool {
    let missing = match progress.status {
        "Complete via rpl" => 0.11,
        "Not yet started" => 0.002,
        _ => 0.01,
    };
    !generator.random_bool(missing)
}

fn course_progress(generator: &mut ChaCha8Rng, enrolled: i64) -> Progress {
    let chance = generator.random_range(0..1_000_u32);
    let started = between(generator, enrolled, (enrolled + 200 * DAY).min(LAST));
    let completed = completion(generator, started, 60);
    match chance {
        0..500 => Progress { started: None, completed: None, status: "Not yet started" },
        500..580 => Progress { started: Some(started), completed: None, status: "In progress" },
        580..840 => Progress { started: Some(started), completed: Some(completed), status: "Complete" },
        840..848 => Progress { started: None, completed: Some(completed), status: "Complete" },
        848..850 => {
            Progress { started: Some(started), completed: Some((started - 3 * DAY).max(FIRST)), status: "Complete" }
        }
        850..865 => {
            let whole_days = (Some(midnight(started)), Some(midnight(completed)));
            Progress { started: whole_days.0, completed: whole_days.1, status: "Complete via rpl" }
        }
        865..885 => Progress { started: None, completed: Some(completed), status: "Complete via rpl" },
        _ => Progress { started: Some(started), completed: Some(completed), status: "Complete via rpl" },
    }
}

fn completion(generator: &mut ChaCha8Rng, started: i64, days: i64) -> i64 {
    between(generator, started, (started + days * DAY).min(LAST))
}

pub(crate) fn write_programs(customer: &Customer, path: &Path) -> Result<u64, GenerateError> {
    let mut writer = RowWriter::create(Source::ProgCompletions, path)?;
    let generator = section(customer.seed, "prog_completions");
    let (mut walk, mut assignments) = (customer.programs.walk(), Vec::new());
    while let Some(user) = walk.next(&customer.population, &mut assignments) {
        let mut generator = member(&generator, user);
        for assignment in assignments.iter().filter(|assignment| assignment.has_completion) {
            let Some(program) = customer.programs.entry(assignment) else { continue };
            let progress = program_progress(&mut generator, assignment.assigned);
            writer.number(customer.population.id(user)).number(program.id);
            writer.quoted(&program.name).quoted(&program.category);
            writer.moment(Some(assignment.assigned)).moment(progress.started).moment(progress.completed);
            writer.moment(assignment.due).text(progress.status).number(program.in_dashboard).end_row()?;
        }
    }
    writer.finish()
}

fn program_progress(generator: &mut ChaCha8Rng, assigned: i64) -> Progress {
    let chance = generator.random_range(0..1_000_u32);
    let started = between(generator, assigned, (assigned + 300 * DAY).min(LAST));
    let completed = completion(generator, started, 240);
    match chance {
        0..550 => Progress { started: Some(started), completed: Some(completed), status: "Complete" },
        550..570 => Progress { started: None, completed: Some(completed), status: "Complete" },
        570..572 => {
            Progress { started: Some(started), completed: Some((started - 2 * DAY).max(FIRST)), status: "Complete" }
        }
        572..575 => Progress { started: Some(started), completed: Some(completed), status: "Not complete" },
        575..690 => Progress { started: Some(started), completed: None, status: "Not complete" },
        _ => Progress { started: None, completed: None, status: "Not complete" },
    }
}

pub(crate) fn write_certifications(customer: &Customer, path: &Path) -> Result<u64, GenerateError> {
    let mut writer = RowWriter::create(Source::CertCompletions, path)?;
    let generator = section(customer.seed, "cert_completions");
    let (mut walk, mut assignments) = (customer.certifications.walk(), Vec::new());
    while let Some(user) = walk.next(&customer.population, &mut assignments) {
        let mut generator = member(&generator, user);
        for assignment in assignments.iter().filter(|assignment| assignment.has_completion) {
            let Some(certification) = customer.certifications.entry(assignment) else { continue };
            let (progress, expires) = certification_progress(&mut generator, assignment);
            let assigned = (!generator.random_bool(0.005)).then_some(assignment.assigned);
            writer.number(customer.population.id(user)).number(certification.id);
            writer.quoted(&certification.name).quoted(&certification.category).text(progress.status);
            writer.moment(expires).moment(progress.completed).moment(assigned).moment(progress.started);
            writer.number(certification.in_dashboard).end_row()?;
        }
    }
    writer.finish()
}

/// What a certification's status says follows from when it expires and the day of the export.
fn certification_progress(generator: &mut ChaCha8Rng, assignment: &Assignment) -> (Progress, Option<i64>) {
    let year = 365 * DAY;
    let window = 60 * DAY;
    let assigned = assignment.assigned;
    let chance = generator.random_range(0..1_000_u32);
    let begun = generator.random_bool(0.7);
    let started = between(generator, assigned, (assigned + 200 * DAY).min(LAST));
    let lapse = between(generator, assigned + DAY, LAST);
    let recent = between(generator, assigned.max(LAST - year + window), LAST);
    let at_window = LAST - year + generator.random_range(0..window);
    let before = |completed: i64| begun.then_some(started.min(completed));
    match chance {
        0..350 => {
            let validity = if recent % 2 == 0 { year } else { 2 * year };
            let completed = Some(recent);
            (Progress { started: before(recent), completed, status: "Certified" }, Some(recent + validity))
        }
        350..450 if at_window > assigned => {
            let completed = Some(at_window);
            (Progress { started: before(at_window), completed, status: "Window is open" }, Some(at_window + year))
        }
        350..650 => {
            let completed = (chance % 5 == 0).then(|| completion(generator, started, 20));
            (Progress { started: Some(started), completed, status: "In progress" }, None)
        }
        650..820 => {
            let completed = (chance % 4 == 0).then_some(started);
            (Progress { started: before(lapse), completed, status: "Expired" }, (chance % 3 > 0).then_some(lapse))
        }
        _ => (Progress { started: before(LAST), completed: None, status: "Not certified" }, None),
    }
}
