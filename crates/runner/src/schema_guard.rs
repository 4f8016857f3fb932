//! Columns that readers rely on: they go away or change only when somebody says so.

use std::collections::BTreeSet;

use medallion_lake::{Lake, Release, schema_changes};

use crate::error::Cause;
use crate::layers::Built;

/// Fails if a published table would lose columns, or columns would get another type, without being accepted. Added
/// columns pass. A renamed column is one that goes and one that comes.
pub(crate) async fn check(
    lake: &Lake,
    last: Option<&Release>,
    built: &[Built],
    accepted: &BTreeSet<String>,
) -> Result<(), Cause> {
    let (mut changes, mut tables) = (Vec::new(), Vec::new());
    for (built, schema) in built.iter().filter_map(|built| Some((built, built.new_schema()?))) {
        let name = built.name.to_string();
        let Some(released) = last.and_then(|last| last.tables.get(&name)).filter(|_| !accepted.contains(&name)) else {
            continue;
        };
        let Some(published) = lake.published(&built.name, Some(released.version)).await? else { continue };
        let change = schema_changes(&published.files.schema, schema);
        if change.is_breaking() {
            changes.push(format!("{name}: {change}"));
            tables.push(name);
        }
    }
    if changes.is_empty() { Ok(()) } else { Err(Cause::SchemaChange { changes, tables }) }
}
