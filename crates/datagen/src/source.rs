//! The sources of a customer: names, files, headers.

use std::fmt;

/// One of the exports a customer delivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// People and their job assignment.
    Users,
    /// Who completed which course.
    CourseCompletions,
    /// Who completed which certification.
    CertCompletions,
    /// Who completed which program.
    ProgCompletions,
    /// Which courses a program has for whom.
    ProgOverview,
    /// Which courses a certification has for whom.
    CertOverview,
    /// Attempts at e-learning packages.
    Scorm,
    /// Attendance of seminar sessions.
    SeminarAttendance,
    /// Members of audiences.
    Audiences,
    /// Ratings of competencies.
    CompetencyRatings,
    /// The tree of organisations.
    Organisations,
    /// The tree of positions.
    Positions,
    /// The texts that mean a missing date.
    NullDates,
    /// The date workbook.
    Dimdates,
}

impl Source {
    /// All sources.
    pub const ALL: [Source; 14] = [
        Source::Users,
        Source::CourseCompletions,
        Source::CertCompletions,
        Source::ProgCompletions,
        Source::ProgOverview,
        Source::CertOverview,
        Source::Scorm,
        Source::SeminarAttendance,
        Source::Audiences,
        Source::CompetencyRatings,
        Source::Organisations,
        Source::Positions,
        Source::NullDates,
        Source::Dimdates,
    ];

    /// The source's name, as in `bronze.<name>`.
    pub fn name(self) -> &'static str {
        match self {
            Source::Users => "users",
            Source::CourseCompletions => "course_completions",
            Source::CertCompletions => "cert_completions",
            Source::ProgCompletions => "prog_completions",
            Source::ProgOverview => "prog_overview",
            Source::CertOverview => "cert_overview",
            Source::Scorm => "scorm",
            Source::SeminarAttendance => "seminar_attendance",
            Source::Audiences => "audiences",
            Source::CompetencyRatings => "competency_ratings",
            Source::Organisations => "organisations",
            Source::Positions => "positions",
            Source::NullDates => "null_dates",
            Source::Dimdates => "dimdates",
        }
    }

    /// The name of its file in the drop folder.
    pub fn file_name(self) -> &'static str {
        match self {
            Source::Users => "analytics_users.csv",
            Source::CourseCompletions => "analytics_course_completions.csv",
            Source::CertCompletions => "analytics_cert_completions.csv",
            Source::ProgCompletions => "analytics_prog_completions.csv",
            Source::ProgOverview => "analytics_prog_overview.csv",
            Source::CertOverview => "analytics_cert_overview.csv",
            Source::Scorm => "analytics_scorm.csv",
            Source::SeminarAttendance => "analytics_seminar_attendance.csv",
            Source::Audiences => "analytics_audiences.csv",
            Source::CompetencyRatings => "analytics_competency_ratings.csv",
            Source::Organisations => "analytics_organisations.csv",
            Source::Positions => "analytics_positions.csv",
            Source::NullDates => "null_dates.csv",
            Source::Dimdates => "dimdates.xlsx",
        }
    }

    /// The texts of its header row.
    pub(crate) fn headers(self) -> &'static [&'static str] {
        match self {
            Source::Users => &USERS,
            Source::CourseCompletions => &COURSE_COMPLETIONS,
            Source::CertCompletions => &CERT_COMPLETIONS,
            Source::ProgCompletions => &PROG_COMPLETIONS,
            Source::ProgOverview => &["Program ID", "Program Name", "Due date", "User ID", "Course ID"],
            Source::CertOverview => &["Certification ID", "Certification Name", "Due date", "User ID", "Course ID"],
            Source::Scorm => &SCORM,
            Source::SeminarAttendance => &SEMINAR_ATTENDANCE,
            Source::Audiences => &["Audience Name", "Audience ID", "User ID", "Status"],
            Source::CompetencyRatings => &["User ID", "Competency ID", "Competency Name", "Rating", "Time rated"],
            Source::Organisations => &ORGANISATIONS,
            Source::Positions => &POSITIONS,
            Source::NullDates => &["Seq", "Date"],
            Source::Dimdates => &DIMDATES,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

const USERS: [&str; 17] = [
    "User ID",
    "User's Fullname",
    "User First Name",
    "User Last Name",
    "User's Country",
    "User's City",
    "User Status",
    "Assignment ID",
    "Assignment Name",
    "Organisation ID",
    "Organisation Name",
    "Position ID",
    "Position Name",
    "Manager ID",
    "Manager Name",
    "Appraiser ID",
    "Appraiser Name",
];

const COURSE_COMPLETIONS: [&str; 10] = [
    "User ID",
    "Course ID",
    "Course Name",
    "Course Category",
    "Time enrolled",
    "Time started",
    "Time completed",
    "Completion Status",
    "Completion Due Date",
    "Include in dashboard",
];

const CERT_COMPLETIONS: [&str; 10] = [
    "User ID",
    "Certification ID",
    "Certification Name",
    "Course Category",
    "Status",
    "Time Expires",
    "Time completed",
    "Time assigned",
    "Time started",
    "Include in dashboard",
];

const PROG_COMPLETIONS: [&str; 10] = [
    "User ID",
    "Program ID",
    "Program Name",
    "Category",
    "Time assigned",
    "Time started",
    "Time completed",
    "Time due",
    "Status",
    "Include in dashboard",
];

const SCORM: [&str; 7] = [
    "User ID",
    "Course ID",
    "Course Name",
    "SCORM Title",
    "SCO Start Date",
    "SCO Total Time (milliseconds)",
    "SCO Status",
];

const SEMINAR_ATTENDANCE: [&str; 10] = [
    "User ID",
    "Course ID",
    "Seminar Name",
    "Event ID",
    "Session ID",
    "Session attendance",
    "Signup status",
    "Session Start Date/Time",
    "Session Finish Date/Time",
    "Session Duration",
];

const ORGANISATIONS: [&str; 6] =
    ["Organisation ID", "Name", "Parent ID number", "Framework", "Organisation Path", "Organisation Depth Level"];

const POSITIONS: [&str; 6] =
    ["Position ID", "Position Name", "Position Parent ID", "Framework Name", "Position Path", "Position Depth Level"];

const DIMDATES: [&str; 16] = [
    "DateNum",
    "Date",
    "YearMonthNum",
    "Calendar_Quarter",
    "MonthNum",
    "MonthName",
    "MonthShortName",
    "WeekNum",
    "DayNumOfYear",
    "DayNumOfMonth",
    "DayNumOfWeek",
    "DayName",
    "DayShortName",
    "Quarter",
    "YearQuarterNum",
    "DayNumOfQuarter",
];
