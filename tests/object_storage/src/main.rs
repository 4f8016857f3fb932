//! A folder as S3 buckets, for tests: `object-storage FOLDER [N]` prints the port it listens on, and answers every Nth
//! request with 503, as busy storage does.

use std::convert::Infallible;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::net::TcpListener;
use tokio::sync::Mutex;

/// What a client has to sign its requests with.
const ACCESS_KEY: &str = "test-key";
const SECRET_KEY: &str = "test-secret";

struct Server {
    service: S3Service,
    /// s3s-fs looks first and writes then: only one request may do so at a time for its conditions to hold.
    writing: Mutex<()>,
    busy_every: Option<u64>,
    requests: AtomicU64,
}

impl Server {
    async fn answer(&self, request: Request<Incoming>) -> Result<Response<s3s::Body>, Infallible> {
        let number = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        if self.busy_every.is_some_and(|every| number.is_multiple_of(every)) {
            return Ok(failed(StatusCode::SERVICE_UNAVAILABLE));
        }
        let _writing = match *request.method() {
            Method::PUT => Some(self.writing.lock().await),
            _ => None,
        };
        let request = request.map(s3s::Body::from);
        Ok(self.service.call(request).await.unwrap_or_else(|_| failed(StatusCode::INTERNAL_SERVER_ERROR)))
    }
}

fn failed(status: StatusCode) -> Response<s3s::Body> {
    let mut response = Response::new(s3s::Body::empty());
    *response.status_mut() = status;
    response
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("usage: object-storage FOLDER [N]")?;
    let busy_every = arguments.next().map(|every| every.parse()).transpose()?;
    let files = s3s_fs::FileSystem::new(folder).map_err(|error| format!("{error:?}"))?;
    let mut builder = S3ServiceBuilder::new(files);
    builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
    let (service, writing, requests) = (builder.build(), Mutex::default(), AtomicU64::default());
    let server = Arc::new(Server { service, writing, busy_every, requests });
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    writeln!(std::io::stdout(), "{}", listener.local_addr()?.port())?;
    loop {
        let (connection, _) = listener.accept().await?;
        let server = Arc::clone(&server);
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let server = Arc::clone(&server);
                async move { server.answer(request).await }
            });
            // A client that goes away is no matter.
            let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(connection), service).await;
        });
    }
}
