//! That the folders of customers do not lie in each other.

use std::path::{Component, Path, PathBuf};

use medallion_pipeline::{After, Customer};

use super::{Check, Finding, error, ok};

/// The folder that is a customer's alone, or the lake of all.
struct Place<'a> {
    customer: Option<&'a str>,
    what: &'static str,
    path: PathBuf,
}

/// Drop folders, archives and the lake that lie in each other though they are of different customers, or are not to.
#[must_use]
pub fn overlaps(customers: &[Customer], lake: &str) -> Vec<Finding> {
    let mut places: Vec<Place<'_>> = customers.iter().flat_map(places_of).collect();
    if let Some(path) = local(lake) {
        places.push(Place { customer: None, what: "the lake", path });
    }
    // In this order a folder stands before those in it.
    places.sort_by(|one, other| one.path.cmp(&other.path));
    let mut findings = Vec::new();
    let mut around: Vec<&Place<'_>> = Vec::new();
    for place in &places {
        around.retain(|outer| place.path.starts_with(&outer.path));
        findings.extend(around.iter().filter_map(|outer| overlap(outer, place)));
        around.push(place);
    }
    if findings.is_empty() {
        findings.push(ok(Check::Isolation, "no folder of a customer lies in one of another"));
    }
    findings
}

fn places_of(customer: &Customer) -> Vec<Place<'_>> {
    let id = Some(customer.id.as_str());
    let mut places = vec![Place { customer: id, what: "the drop folder", path: resolved(&customer.source) }];
    let archive = customer.arrival.archive.as_ref().filter(|_| customer.arrival.after == After::Archive);
    places.extend(archive.map(|archive| Place { customer: id, what: "the archive", path: resolved(archive) }));
    places
}

fn overlap(outer: &Place<'_>, inner: &Place<'_>) -> Option<Finding> {
    // An archive in the customer's own drop folder is where it is by default.
    if outer.customer == inner.customer && outer.customer.is_some() {
        return None;
    }
    let named = |place: &Place<'_>| match place.customer {
        Some(customer) => format!("{} of customer {customer}", place.what),
        None => place.what.to_owned(),
    };
    let relation = if outer.path == inner.path { "is also" } else { "lies in" };
    let message = format!("{} {relation} {}: {}", named(inner), named(outer), inner.path.display());
    let finding = error(Check::Isolation, message).hint(Some("give each customer a folder of its own".to_owned()));
    Some(match inner.customer.or(outer.customer) {
        Some(customer) => finding.of(customer),
        None => finding,
    })
}

/// A path that two spellings of the same folder share: links are followed as far as there are folders.
fn resolved(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let (mut there, mut rest) = (absolute.as_path(), Vec::new());
    loop {
        if let Ok(real) = std::fs::canonicalize(there) {
            let mut whole = real;
            for part in rest.into_iter().rev() {
                match part {
                    Component::ParentDir => drop(whole.pop()),
                    other => whole.push(other),
                }
            }
            return whole;
        }
        let (Some(parent), Some(last)) = (there.parent(), there.components().next_back()) else { return absolute };
        rest.push(last);
        there = parent;
    }
}

fn local(lake: &str) -> Option<PathBuf> {
    match lake.split_once("://") {
        None => Some(resolved(Path::new(lake))),
        Some(("file", path)) => Some(resolved(Path::new(path))),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::doctor::FindingSeverity;

    fn found(sources: &[(&str, &str)], lake: &str) -> Vec<String> {
        let customer = |(id, source): &(&str, &str)| Customer::without_file(id.parse().unwrap(), PathBuf::from(source));
        let customers: Vec<Customer> = sources.iter().map(customer).collect();
        let findings = overlaps(&customers, lake);
        findings.into_iter().filter(|found| found.severity != FindingSeverity::Ok).map(|found| found.message).collect()
    }

    #[test]
    fn folders_in_each_other_are_found() {
        assert_eq!(found(&[("a", "/in/a"), ("b", "/in/b"), ("ab", "/in/ab")], "/lake"), [""; 0]);
        assert_eq!(
            found(&[("a", "/in/x"), ("b", "/in/./y/../x")], "/lake"),
            ["the drop folder of customer b is also the drop folder of customer a: /in/x"]
        );
        assert_eq!(
            found(&[("a", "/in"), ("b", "/in/b/c"), ("c", "/inn")], "/lake"),
            ["the drop folder of customer b lies in the drop folder of customer a: /in/b/c"]
        );
        assert_eq!(
            found(&[("a", "/lake/b/gold")], "/lake"),
            ["the drop folder of customer a lies in the lake: /lake/b/gold"]
        );
        assert_eq!(
            found(&[("a", "/in")], "file:///in/lake"),
            ["the lake lies in the drop folder of customer a: /in/lake"]
        );
        assert_eq!(found(&[("a", "/in")], "s3://in/lake"), [""; 0]);
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().join("real");
        std::fs::create_dir(&real).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let sources = [("a", real.to_str().unwrap()), ("b", link.to_str().unwrap())];
        assert_eq!(found(&sources, "/lake").len(), 1);
    }
}
