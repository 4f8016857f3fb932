//! Writes the two overview sources: which courses a program or certification has for whom.

use std::path::Path;

use crate::assignments::AssignmentPlan;
use crate::customer::Customer;
use crate::error::GenerateError;
use crate::random::Share;
use crate::source::Source;
use crate::writer::RowWriter;

pub(crate) fn write_programs(customer: &Customer, path: &Path) -> Result<u64, GenerateError> {
    let counts = &customer.counts;
    let distinct = counts.prog_overview - counts.overview_duplicates;
    let duplicates = Share::new(counts.overview_duplicates, distinct);
    write(customer, &customer.programs, duplicates, RowWriter::create(Source::ProgOverview, path)?)
}

pub(crate) fn write_certifications(customer: &Customer, path: &Path) -> Result<u64, GenerateError> {
    let duplicates = Share::new(0, customer.counts.cert_overview);
    write(customer, &customer.certifications, duplicates, RowWriter::create(Source::CertOverview, path)?)
}

fn write(
    customer: &Customer,
    plan: &AssignmentPlan,
    mut duplicates: Share,
    mut writer: RowWriter,
) -> Result<u64, GenerateError> {
    let (mut walk, mut assignments) = (plan.walk(), Vec::new());
    while let Some(user) = walk.next(&customer.population, &mut assignments) {
        let id = customer.population.id(user);
        for assignment in &assignments {
            let Some(entry) = plan.entry(assignment) else { continue };
            let courses = plan.courses(assignment, customer.enrollable_courses());
            for course in courses.filter_map(|course| customer.courses.get(course)) {
                writer.number(entry.id).quoted(&entry.name).moment(assignment.due).number(id).number(course.entry.id);
                if duplicates.take(1) > 0 { writer.end_row_twice() } else { writer.end_row() }?;
            }
        }
    }
    writer.finish()
}
