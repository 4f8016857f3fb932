//! No record is lost: the sums of every run, counted in other places than those that made them.

use std::collections::{BTreeMap, BTreeSet};

use medallion_pipeline::{Reject, TableFiles, TableName};

use crate::error::Cause;
use crate::layers::Built;
use crate::results::TableResult;

/// Records of the new files = rows of the new batches + records set aside while parsing.
pub(crate) fn bronze(results: &BTreeMap<TableName, TableResult>) -> Result<(), Cause> {
    for (table, result) in results {
        let rejected: u64 = result.files.iter().map(|file| file.rejected).sum();
        let parts = vec![("rows in bronze", result.rows_out), ("rejected while parsing", result.rejected)];
        add_up(table, result.rows_in, "records of its files became", parts)?;
        add_up(table, rejected, "records of its files are rejected, but", vec![("rejects", result.rejected)])?;
    }
    Ok(())
}

/// Rows of the batch, as its files have them = rows of the table, as its files have them + what was set aside.
pub(crate) fn silver(
    table: &TableName,
    batch: &TableFiles,
    result: &TableResult,
    rejects: &[Reject],
) -> Result<(), Cause> {
    let Some(sums) = &result.sums else { return Ok(()) };
    let replaced =
        result.upserts.as_ref().map_or(0, |upserts| upserts.total.statements().saturating_sub(result.rows_out));
    let parts = vec![
        ("rows", result.rows_out),
        ("replaced by increments", replaced),
        ("duplicates", sums.duplicates),
        ("rejected", rejects.len() as u64),
        ("further rows", sums.further),
        ("of another table", sums.filtered),
        ("excluded", sums.excluded),
    ];
    add_up(table, batch.rows(), "rows of the batch became", parts)
}

fn add_up(table: &TableName, whole: u64, what: &'static str, parts: Vec<(&'static str, u64)>) -> Result<(), Cause> {
    if parts.iter().map(|(_, count)| count).sum::<u64>() == whole {
        return Ok(());
    }
    Err(Cause::Conservation { table: table.to_string(), whole, what, parts })
}

/// What silver set aside, as bronze.rejected_rows has it: tables of one source may set aside the same record for the
/// same reason.
pub(crate) fn rejected(built: &[Built]) -> u64 {
    built.iter().flat_map(|built| &built.rejects).collect::<BTreeSet<_>>().len() as u64
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use medallion_silver::Sums;

    use super::*;

    #[test]
    fn a_lost_record_is_told_with_all_its_sums() {
        let table: TableName = "silver.users".parse().unwrap();
        let files = [3, 2].map(|rows| medallion_pipeline::DataFile {
            location: "file:///x".parse().unwrap(),
            partition_values: BTreeMap::new(),
            rows,
            bytes: 1,
        });
        let batch = TableFiles { schema: medallion_pipeline::rejects::schema(), files: files.into() };
        let mut result = TableResult::built(5, 2, 0.0);
        result.sums = Some(Sums { duplicates: 1, excluded: 1, filtered: 1, ..Sums::default() });
        assert!(silver(&table, &batch, &result, &[]).is_ok());
        result.rows_out = 1;
        let error = silver(&table, &batch, &result, &[]).unwrap_err().to_string();
        let expected = "the sums of silver.users do not add up: 5 rows of the batch became 4 (1 rows, \
                        0 replaced by increments, 1 duplicates, \
                        0 rejected, 0 further rows, 1 of another table, 1 excluded); nothing was published";
        assert_eq!(error, expected);
        let mut result = TableResult::built(5, 4, 0.0);
        result.rejected = 1;
        let error = bronze(&BTreeMap::from([(table.clone(), result.clone())])).unwrap_err().to_string();
        assert!(error.contains("0 records of its files are rejected, but 1 (1 rejects)"), "{error}");
        result.rows_in = 6;
        let error = bronze(&BTreeMap::from([(table, result)])).unwrap_err().to_string();
        assert!(error.contains("6 records of its files became 5 (4 rows in bronze, 1 rejected"), "{error}");
    }
}
