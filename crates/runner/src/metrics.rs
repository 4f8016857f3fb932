//! Metrics of a customer's last run in Prometheus' text format, for the textfile collector of the node exporter.
//!
//! One file per customer, so that runs of several customers at the same time do not write over each other.

use std::io::Write;
use std::path::Path;

use chrono::Utc;
use medallion_pipeline::Layer;
use prometheus::{Encoder, GaugeVec, Opts, Registry, TextEncoder};

use crate::audit::TestStatus;
use crate::results::{RunResults, Status};

const LAST_SUCCESS: &str = "medallion_last_success_timestamp_seconds";
const RELEASE: &str = "medallion_release";

/// Writes `medallion_<customer>.prom` into the folder, which must be there; readers see the old file or the new one.
///
/// # Errors
/// If the folder is not there or the file cannot be written, as a sentence.
pub(crate) fn write(folder: &Path, customer: &str, results: Option<&RunResults>, is_done: bool) -> Result<(), String> {
    let path = folder.join(format!("medallion_{customer}.prom"));
    let before = std::fs::read_to_string(&path).unwrap_or_default();
    let mut metrics = Metrics { registry: Registry::new(), customer };
    let text = metrics.fill(&before, results, is_done).map_err(|error| error.to_string())?;
    replace(folder, &path, &text).map_err(|error| format!("{}: {error}", path.display()))
}

/// A file of another name first: the collector reads what ends in `.prom`.
fn replace(folder: &Path, path: &Path, text: &[u8]) -> std::io::Result<()> {
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    let mode = {
        use std::os::unix::fs::PermissionsExt;
        // The collector is somebody else.
        std::fs::Permissions::from_mode(0o644)
    };
    #[cfg(unix)]
    builder.permissions(mode);
    let mut file = builder.prefix(".medallion").suffix(".tmp").tempfile_in(folder)?;
    file.write_all(text)?;
    file.persist(path).map(drop).map_err(|error| error.error)
}

struct Metrics<'a> {
    registry: Registry,
    customer: &'a str,
}

#[allow(clippy::cast_precision_loss)]
impl Metrics<'_> {
    fn fill(
        &mut self,
        before: &str,
        results: Option<&RunResults>,
        is_done: bool,
    ) -> Result<Vec<u8>, prometheus::Error> {
        let now = Utc::now().timestamp_millis() as f64 / 1000.0;
        self.one(
            "medallion_run_success",
            "Whether the last run is done (1) or has failed (0)",
            f64::from(u8::from(is_done)),
        )?;
        self.one("medallion_run_timestamp_seconds", "When the last run ended", now)?;
        let last_success = if is_done { Some(now) } else { value_in(before, LAST_SUCCESS) };
        if let Some(last_success) = last_success {
            self.one(LAST_SUCCESS, "When the last run that was done ended", last_success)?;
        }
        let release = results.and_then(|results| results.release).map(|release| release as f64);
        if let Some(release) = release.or_else(|| value_in(before, RELEASE)) {
            self.one(RELEASE, "The last release that a run published", release)?;
        }
        if let Some(results) = results {
            self.results(results)?;
        }
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }

    fn results(&self, results: &RunResults) -> Result<(), prometheus::Error> {
        self.one("medallion_run_duration_seconds", "How long the last run took", results.seconds)?;
        let seconds =
            self.gauge("medallion_layer_duration_seconds", "Wall time of a layer in the last run", &["layer"])?;
        for (layer, took) in &results.layer_seconds {
            seconds.with_label_values(&[self.customer, layer.name()]).set(*took);
        }
        let rejected =
            self.gauge("medallion_layer_rejected_rows", "Records that the last run set aside", &["layer"])?;
        for (layer, rows) in &results.layer_rejected {
            rejected.with_label_values(&[self.customer, layer.name()]).set(*rows as f64);
        }
        self.tables(results)?;
        if !results.tests.is_empty() {
            let tests = self.gauge("medallion_tests", "Data tests of the last run, by how they ended", &["status"])?;
            for (name, status) in [("pass", TestStatus::Pass), ("warn", TestStatus::Warn), ("error", TestStatus::Error)]
            {
                let count = results.tests.iter().filter(|test| test.status == status).count();
                tests.with_label_values(&[self.customer, name]).set(count as f64);
            }
        }
        Ok(())
    }

    fn tables(&self, results: &RunResults) -> Result<(), prometheus::Error> {
        let labels = ["layer", "table"];
        let read = self.gauge("medallion_table_read_rows", "Rows a table was built from in the last run", &labels)?;
        let rows =
            self.gauge("medallion_table_rows", "Rows a table has; of bronze the rows of new batches", &labels)?;
        let rejected = self.gauge("medallion_table_rejected_rows", "Rows set aside on the way to a table", &labels)?;
        let built = self.gauge("medallion_table_built", "Whether the last run took in or built the table", &labels)?;
        for (name, table) in &results.tables {
            let labels = [self.customer, Layer::name(name.layer), name.table.as_str()];
            read.with_label_values(&labels).set(table.rows_in as f64);
            rows.with_label_values(&labels).set(table.rows_out as f64);
            rejected.with_label_values(&labels).set(table.rejected as f64);
            built.with_label_values(&labels).set(f64::from(u8::from(table.status == Status::Success)));
        }
        Ok(())
    }

    fn one(&self, name: &str, help: &str, value: f64) -> Result<(), prometheus::Error> {
        self.gauge(name, help, &[])?.with_label_values(&[self.customer]).set(value);
        Ok(())
    }

    fn gauge(&self, name: &str, help: &str, labels: &[&str]) -> Result<GaugeVec, prometheus::Error> {
        let labels: Vec<&str> = std::iter::once("customer").chain(labels.iter().copied()).collect();
        let gauge = GaugeVec::new(Opts::new(name, help), &labels)?;
        self.registry.register(Box::new(gauge.clone()))?;
        Ok(gauge)
    }
}

/// What the file of the run before says.
fn value_in(text: &str, metric: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.strip_prefix(metric).is_some_and(|rest| rest.starts_with('{')))?;
    line.rsplit(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_failure_keeps_the_time_of_the_last_success() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("medallion_acme.prom");
        write(folder.path(), "acme", None, true).unwrap();
        let first = std::fs::read_to_string(&path).unwrap();
        let success = value_in(&first, LAST_SUCCESS).unwrap();
        assert_eq!(value_in(&first, "medallion_run_success"), Some(1.0));
        write(folder.path(), "acme", None, false).unwrap();
        let second = std::fs::read_to_string(&path).unwrap();
        assert_eq!(
            (value_in(&second, LAST_SUCCESS), value_in(&second, "medallion_run_success")),
            (Some(success), Some(0.0))
        );
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file stays");
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let error = write(Path::new("/nowhere/prom"), "acme", None, true).unwrap_err();
        assert!(error.starts_with("/nowhere/prom/medallion_acme.prom: "), "{error}");
    }
}
