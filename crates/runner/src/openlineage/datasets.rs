//! Names of tables and files, as the naming rules of `OpenLineage` have them.

use std::path::Path;

use medallion_pipeline::TableName;
use serde_json::{Value, json};
use url::Url;

/// Where a customer's tables are.
pub(crate) struct Tables {
    namespace: String,
    root: String,
}

impl Tables {
    /// The tables of a customer in the lake at `location`, a path or URL.
    pub(crate) fn new(location: &str, customer: &str) -> Self {
        let url = location.contains("://").then(|| Url::parse(location).ok()).flatten();
        let (namespace, root) = match url.filter(|url| url.scheme() != "file") {
            Some(url) => (bucket(&url), url.path().trim_matches('/').to_owned()),
            None => ("file".to_owned(), local(location)),
        };
        let root = if root.is_empty() { customer.to_owned() } else { format!("{root}/{customer}") };
        Self { namespace, root }
    }

    /// The namespace and name of a table.
    pub(crate) fn name(&self, table: &TableName) -> (&str, String) {
        (&self.namespace, format!("{}/{}/{}", self.root, table.layer, table.table))
    }

    /// A table with facets.
    pub(crate) fn dataset(&self, table: &TableName, facets: Value) -> Value {
        let (namespace, name) = self.name(table);
        json!({"namespace": namespace, "name": name, "facets": facets})
    }
}

/// A file of a drop folder.
pub(crate) fn file(folder: &Path, name: &str) -> Value {
    let path = std::path::absolute(folder.join(name)).unwrap_or_else(|_| folder.join(name));
    json!({"namespace": "file", "name": path.display().to_string(), "facets": {}})
}

/// `s3://bucket`; of Azure `abfss://container@account`, where the container stands before the `@`.
fn bucket(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match (url.scheme(), url.username()) {
        (scheme @ ("abfs" | "abfss"), container) if !container.is_empty() => format!("{scheme}://{container}@{host}"),
        (scheme, _) => format!("{scheme}://{host}"),
    }
}

fn local(location: &str) -> String {
    let path = Url::parse(location).ok().filter(|url| url.scheme() == "file").and_then(|url| url.to_file_path().ok());
    let path = path.unwrap_or_else(|| location.into());
    std::path::absolute(&path).unwrap_or(path).display().to_string().trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn tables_are_named_by_their_place_and_without_secrets() {
        let table: TableName = "gold.dim_user".parse().unwrap();
        for (location, namespace, name) in [
            ("/data/lake/", "file", "/data/lake/acme/gold/dim_user"),
            ("file:///data/lake", "file", "/data/lake/acme/gold/dim_user"),
            ("s3://key:secret@bucket/lakes/eu/", "s3://bucket", "lakes/eu/acme/gold/dim_user"),
            ("gs://bucket", "gs://bucket", "acme/gold/dim_user"),
            (
                "abfss://box@shop.dfs.core.windows.net/l",
                "abfss://box@shop.dfs.core.windows.net",
                "l/acme/gold/dim_user",
            ),
        ] {
            assert_eq!(Tables::new(location, "acme").name(&table), (namespace, name.to_owned()), "{location}");
        }
    }
}
