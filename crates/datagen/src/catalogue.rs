//! What a site offers: courses, programs, certifications, audiences, competencies.

use crate::times::{DAY, FIRST};
use crate::writer::Quoted;

/// The last moment at which everybody was enrolled into a course at once lies this many days after the first.
const BULK_ENROLMENT_DAYS: i64 = 3_000;

static TOPICS: [&str; 40] = [
    "Welcome Aboard",
    "Hand Hygiene",
    "Fire Wardens",
    "Ladders & Heights",
    "Privacy, Records and You",
    "Bribery: Say \"No\"",
    "Cold Chain",
    "Café Food Handling",
    "Conflict at Work",
    "Sharps and Spills",
    "Forklift Basics",
    "Phishing",
    "Passwords",
    "Clear Writing",
    "Coaching",
    "Difficult Conversations",
    "An toàn lao động",
    "Manual Handling:\nLift, Turn, Carry",
    "Chemotherapy Safety",
    "Incident Reporting",
    "Board Reporting",
    "Budgets",
    "Négociation",
    "Cultural Safety",
    "Mental Health First Aid",
    "Radiation",
    "Infection Control",
    "Driver's Refresher",
    "Medication Rounds",
    "Falls Prevention",
    "Lean Wards",
    "Procurement",
    "Volunteers",
    "การดูแลผู้ป่วย",
    "Consent",
    "السلامة أولا",
    "Wound Care",
    "Dementia Care",
    "Rostering",
    "Onsite Parking",
];

static COURSE_KINDS: [&str; 8] =
    ["", "Refresher", "for Managers", "Level 2", "in Practice", "Assessment", "(online)", "Toolbox Talk"];

static CATEGORIES: [&str; 9] = [
    "Safety & Wellbeing",
    "Onboarding",
    "Clinical Practice",
    "Information Security",
    "People",
    "Leadership",
    "Finance, Legal",
    "Operations",
    "Archive",
];

static PROGRAM_THEMES: [&str; 10] = [
    "First Weeks",
    "Stepping Up",
    "Ward Essentials",
    "Finance Foundations",
    "Safe Sites",
    "Digital Basics",
    "Graduate Year",
    "Mentors",
    "Return to Work",
    "Community Care",
];

static PROGRAM_KINDS: [&str; 5] = ["", "Pathway", "Plus", "Academy", "\"Express\""];

static CERTIFICATION_THEMES: [&str; 10] = [
    "Safe Workplace",
    "Data Protection",
    "Code of Conduct",
    "People Leader Duties",
    "Clinical Mandatory",
    "Food Safety",
    "Emergency Response",
    "Vehicle Operation",
    "Sécurité incendie",
    "Medication Competence",
];

static AUDIENCE_THEMES: [&str; 12] = [
    "Everyone",
    "Nursing",
    "Contractors",
    "Team Leaders",
    "Southern Sites",
    "Northern Sites",
    "Night Shift",
    "New Starters",
    "Volunteers, Casuals",
    "Board",
    "Pharmacy",
    "Remote Workers",
];

static COMPETENCY_THEMES: [&str; 16] = [
    "Communicates Clearly",
    "Plans Ahead",
    "Handles Complaints",
    "Aseptic Technique",
    "Reads Balance Sheets",
    "Gives Feedback",
    "Facilitates Groups",
    "Analyses Data",
    "Keeps Records",
    "Drives Change",
    "Coaches Others",
    "Negotiates",
    "Uses \"Plain Language\"",
    "Cannulation",
    "Works in Teams",
    "Respects Diversity",
];

static COMPETENCY_KINDS: [&str; 4] = ["", "- Foundation", "- Proficient", "- Expert"];

/// A course, program, certification, audience or competency.
pub(crate) struct Entry {
    pub(crate) id: u64,
    pub(crate) name: Quoted,
    pub(crate) category: Quoted,
    pub(crate) in_dashboard: u64,
}

/// A course that people can be enrolled into.
pub(crate) struct Course {
    pub(crate) entry: Entry,
    /// Titles of its e-learning packages.
    pub(crate) packages: Vec<Quoted>,
    /// What its seminar is called.
    pub(crate) seminar: Quoted,
    /// When whole groups were enrolled into it at once.
    pub(crate) bulk_enrolment: i64,
}

/// Courses by popularity; the one at `count` is played as e-learning without enrolments.
pub(crate) fn courses(count: usize) -> Vec<Course> {
    (0..=count).map(course).collect()
}

fn course(index: usize) -> Course {
    let id = 48 + index as u64 + index as u64 / 10;
    let name = composed(&TOPICS, &COURSE_KINDS, index);
    let mut packages = vec![Quoted::new(&name.replace('\n', " "))];
    if index % 3 == 1 {
        packages.push(Quoted::new("Introduction "));
    }
    if index % 4 == 2 {
        packages.push(Quoted::new(&format!("{name} - Quiz")));
    }
    let seminar = match index % 3 {
        0 => format!("Workshop - {name}"),
        1 => "Workshop".to_owned(),
        _ => format!("{name}, live"),
    };
    Course {
        packages,
        seminar: Quoted::new(&seminar),
        bulk_enrolment: FIRST + (index as i64 * 397 % BULK_ENROLMENT_DAYS) * DAY + index as i64 * 5_003 % DAY,
        entry: Entry {
            id,
            name: Quoted::new(&name),
            category: Quoted::new(CATEGORIES[index / 3 % CATEGORIES.len()]),
            in_dashboard: u64::from(index % 29 != 28),
        },
    }
}

/// Programs by popularity.
pub(crate) fn program(index: usize) -> Entry {
    entry(index, 6 + 5 * index as u64, composed(&PROGRAM_THEMES, &PROGRAM_KINDS, index))
}

/// Certifications by popularity.
pub(crate) fn certification(index: usize) -> Entry {
    entry(index, 7 + index as u64, composed(&CERTIFICATION_THEMES, &PROGRAM_KINDS, index))
}

/// Audiences; the first has everybody.
pub(crate) fn audience(index: usize) -> Entry {
    entry(index, 3 + index as u64, composed(&AUDIENCE_THEMES, &["", "(dynamic)"], index))
}

/// Competencies.
pub(crate) fn competency(index: usize) -> Entry {
    entry(index, 1 + index as u64, composed(&COMPETENCY_THEMES, &COMPETENCY_KINDS, index))
}

fn entry(index: usize, id: u64, name: String) -> Entry {
    Entry {
        id,
        name: Quoted::new(&name),
        category: Quoted::new(CATEGORIES[index * 4 % CATEGORIES.len()]),
        in_dashboard: u64::from(index % 13 != 11),
    }
}

/// Theme and kind, then numbered: no two indexes give one name.
fn composed(themes: &[&str], kinds: &[&str], index: usize) -> String {
    let theme = themes[index % themes.len()];
    let kind = kinds[index / themes.len() % kinds.len()];
    let round = index / (themes.len() * kinds.len());
    let mut name = theme.to_owned();
    if !kind.is_empty() {
        name = format!("{name} {kind}");
    }
    if round > 0 { format!("{name} {}", round + 1) } else { name }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_unique() {
        let names: HashSet<_> = (0..1_000).map(|index| composed(&TOPICS, &COURSE_KINDS, index)).collect();
        assert_eq!(names.len(), 1_000);
    }
}
