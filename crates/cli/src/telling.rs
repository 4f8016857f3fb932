//! Telling those who want to hear of it that a customer could not be run.

use medallion_runner::Notification;
use medallion_runner::notification::tell;

use crate::console::Console;
use crate::exit::Failure;
use crate::settings::ProjectSettings;

/// Tells of a customer whose file cannot be used: there is no run that could. Its own `[[notify]]` is not known then.
pub(crate) async fn of_configuration(settings: &ProjectSettings, failure: &Failure, console: &Console) {
    let (Some(customer), Ok(reporting)) = (&failure.customer, settings.reporting()) else { return };
    let notification = Notification::of_configuration(customer, &failure.message, failure.hint.as_deref());
    for problem in tell(&notification, &reporting.notify, None).await {
        console.note(&format!("warning: customer {customer}: {problem}"));
    }
}
