//! `[storage]` in project and customer files: settings and credentials of object storage.

use std::collections::BTreeMap;

use crate::environment;
use crate::error::DefinitionError;

/// How the names of settings begin, by provider.
const PROVIDERS: [&str; 3] = ["AWS_", "AZURE_", "GOOGLE_"];

/// Settings by their names, as written.
pub(crate) type StorageKeys = BTreeMap<String, String>;

/// The settings with the environment's values put in.
///
/// # Errors
/// If a name is not that of a setting, or a variable is not set.
pub(crate) fn resolve(file: &str, keys: &StorageKeys) -> Result<BTreeMap<String, String>, DefinitionError> {
    let mut settings = BTreeMap::new();
    for (name, text) in keys {
        if !PROVIDERS.iter().any(|provider| name.starts_with(provider)) {
            let message = format!(
                "storage.{name} is no setting of object storage: expected the name that it has in the environment, \
                 which begins with AWS_, AZURE_ or GOOGLE_, such as AWS_REGION"
            );
            return Err(DefinitionError::Contradiction { file: file.to_owned(), message });
        }
        settings.insert(name.clone(), environment::expand(file, &format!("storage.{name}"), text)?);
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn settings_have_their_providers_names() {
        let keys = |name: &str, text: &str| BTreeMap::from([(name.to_owned(), text.to_owned())]);
        let settings = resolve("acme.toml", &keys("AWS_REGION", "eu-central-1")).unwrap();
        assert_eq!(settings["AWS_REGION"], "eu-central-1");
        let error = resolve("acme.toml", &keys("region", "eu-central-1")).unwrap_err().to_string();
        assert!(error.contains("acme.toml") && error.contains("storage.region"), "{error}");
        let secret = keys("AWS_SECRET_ACCESS_KEY", "hidden${NOT_SET_ANYWHERE_7}");
        let error = resolve("acme.toml", &secret).unwrap_err().to_string();
        assert!(error.contains("NOT_SET_ANYWHERE_7") && !error.contains("hidden"), "{error}");
    }
}
