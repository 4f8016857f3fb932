//! Posting JSON to an address, within a time.

use std::error::Error;
use std::time::Duration;

use medallion_pipeline::reporting::{Address, Secret};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, StatusCode};
use tokio::time::{Instant, sleep, timeout_at};

/// How often a request is made at most, if it seems that another attempt could succeed.
const ATTEMPTS: u32 = 3;
/// The wait before the second attempt; before the third it is four times as long.
const PAUSE: Duration = Duration::from_millis(200);

/// Somebody who takes JSON.
#[derive(Clone)]
pub(crate) struct Recipient<'a> {
    client: Client,
    address: &'a Address,
    headers: Vec<(&'a str, &'a Secret)>,
    bearer: Option<&'a Secret>,
    /// When whoever waits for an answer gives up.
    deadline: Instant,
}

/// How one request ended.
enum Attempt {
    Taken,
    Refused(String),
    /// Another attempt could succeed.
    Failed(String),
}

impl<'a> Recipient<'a> {
    /// Someone at an address, who has `timeout` from now to take everything.
    ///
    /// # Errors
    /// If there can be no client, for instance because the system's certificates cannot be read.
    pub(crate) fn new(address: &'a Address, timeout: Duration) -> Result<Self, String> {
        // A redirect would carry the secrets of the headers elsewhere.
        let client = Client::builder().redirect(Policy::none()).user_agent(crate::PRODUCT).build();
        let client = client.map_err(|error| reason(&error.without_url()))?;
        Ok(Self { client, address, headers: Vec::new(), bearer: None, deadline: Instant::now() + timeout })
    }

    /// With further headers.
    pub(crate) fn headers(mut self, headers: impl IntoIterator<Item = (&'a String, &'a Secret)>) -> Self {
        self.headers = headers.into_iter().map(|(name, value)| (name.as_str(), value)).collect();
        self
    }

    /// With a key.
    pub(crate) fn bearer(mut self, key: Option<&'a Secret>) -> Self {
        self.bearer = key;
        self
    }

    /// Posts a body; the message says why it was not taken, without any secret.
    pub(crate) async fn post(&self, body: &[u8]) -> Result<(), String> {
        let mut last = "no time was left".to_owned();
        for attempt in 0..ATTEMPTS {
            if attempt > 0 && timeout_at(self.deadline, sleep(PAUSE * 4_u32.pow(attempt - 1))).await.is_err() {
                break;
            }
            match timeout_at(self.deadline, self.attempt(body)).await {
                Ok(Attempt::Taken) => return Ok(()),
                Ok(Attempt::Refused(reason)) => return Err(self.told(&reason)),
                Ok(Attempt::Failed(reason)) => last = reason,
                Err(_) => {
                    "no answer in time".clone_into(&mut last);
                    break;
                }
            }
        }
        Err(self.told(&last))
    }

    async fn attempt(&self, body: &[u8]) -> Attempt {
        let answer = self.request(body).send().await;
        match answer.map(|answer| answer.status()) {
            Ok(status) if status.is_success() => Attempt::Taken,
            Ok(status) if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                Attempt::Failed(format!("it answered {status}"))
            }
            Ok(status) => Attempt::Refused(format!("it answered {status}")),
            Err(error) => Attempt::Failed(reason(&error.without_url())),
        }
    }

    fn request(&self, body: &[u8]) -> RequestBuilder {
        let request = self.client.post(self.address.url().clone()).header(CONTENT_TYPE, "application/json");
        let request = self.headers.iter().fold(request, |request, (name, value)| request.header(*name, value.reveal()));
        let bearer = self.bearer.map(|key| format!("Bearer {}", key.reveal()));
        bearer.into_iter().fold(request, |request, bearer| request.header(AUTHORIZATION, bearer)).body(body.to_vec())
    }

    fn told(&self, reason: &str) -> String {
        format!("{}: {reason}", self.address)
    }
}

/// What the innermost error says: those around it only say that something failed.
fn reason(error: &dyn Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
