//! The facets of events, each with the version of its schema.

use serde_json::{Map, Value, json};

/// Who says all this.
pub(crate) const PRODUCER: &str = concat!("urn:medallion:", env!("CARGO_PKG_VERSION"));
/// The schema of events.
pub(crate) const RUN_EVENT: &str = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent";

/// A facet; `schema` is its file with version, such as `1-0-1/NominalTimeRunFacet`.
pub(crate) fn facet(schema: &str, content: Value) -> Value {
    let name = schema.rsplit('/').next().unwrap_or_default();
    let mut facet = Map::new();
    facet.insert("_producer".to_owned(), json!(PRODUCER));
    facet.insert(
        "_schemaURL".to_owned(),
        json!(format!("https://openlineage.io/spec/facets/{schema}.json#/$defs/{name}")),
    );
    if let Value::Object(content) = content {
        facet.extend(content);
    }
    Value::Object(facet)
}

pub(crate) fn documentation(description: &str) -> Value {
    facet("1-1-0/DocumentationJobFacet", json!({"description": description, "contentType": "text/plain"}))
}

pub(crate) fn job_type(kind: &str) -> Value {
    facet("2-0-4/JobTypeJobFacet", json!({"processingType": "BATCH", "integration": "MEDALLION", "jobType": kind}))
}

pub(crate) fn sql(query: &str) -> Value {
    facet("1-1-0/SQLJobFacet", json!({"query": query, "dialect": "datafusion"}))
}

pub(crate) fn version(version: u64) -> Value {
    facet("1-0-1/DatasetVersionDatasetFacet", json!({"datasetVersion": version.to_string()}))
}
