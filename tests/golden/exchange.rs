//! A call twice: once at the sandbox, for its answers, and once more with them as if at the vendor's own hosts.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderMap, Method, StatusCode, Uri};
use isobar_adapters::{
    Account, Call, Evidence, Failure, Fault, Job, Output, Request, Response, Talk, Tokens,
    Transport, Vendor, built_in,
};
use isobar_config::{Nothing, Secret, Source, check_with};
use isobar_sandbox::Sandbox;
use tokio_tungstenite::tungstenite::Message;

/// 2026-01-02 03:04:05 UTC.
const NOW: u64 = 1_767_323_045;
const ID: &str = "0192f0c1-2d3e-7a4b-8c5d-6e7f8091a2b3";
/// Hosts of vendors that are not simulated, and what they answer.
const CANNED: &[(&str, &str)] = &[(
    "local",
    r#"{ "text": "The weather in London is sunny today." }"#,
)];

/// A request as it would go to the vendor.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) talk: Talk,
}

/// The requests of a call, and the answers that they got.
pub(crate) struct Exchange {
    pub(crate) sent: Vec<Sent>,
    pub(crate) answers: Vec<Response>,
}

/// A vendor's simulator, and accounts at it and at the vendor itself.
pub(crate) struct Stand {
    pub(crate) vendor: Arc<Vendor>,
    /// Fields of the account, names and values.
    pub(crate) fields: Vec<(String, String)>,
    /// `http://ADDRESS/VENDOR`; none where nothing simulates the vendor.
    base: Option<String>,
    _sandbox: Sandbox,
}

impl Stand {
    /// The sandbox's account, without one field if so wanted.
    pub(crate) async fn start(vendor: &Arc<Vendor>, without: Option<&str>) -> Self {
        let sandbox = Sandbox::start(([127, 0, 0, 1], 0).into()).await.unwrap();
        let text = format!("{}{}", isobar_tests::HEAD, sandbox.print_config());
        let source = Source {
            name: "sandbox.yaml".to_owned(),
            text,
        };
        let (config, report) = check_with(&[source], &Nothing, &isobar::catalog(&built_in().0));
        let config = config.unwrap_or_else(|| panic!("{}", report.text(false)));
        let account = config
            .accounts
            .iter()
            .find(|account| account.name == vendor.name);
        let at = account.and_then(|account| account.vendor.as_ref());
        let canned = CANNED.iter().any(|(name, _)| *name == vendor.name);
        assert!(at.is_some() || canned, "`{}` is not simulated", vendor.name);
        let field = |(name, value): &(String, Secret)| (name.clone(), value.expose().to_owned());
        Self {
            vendor: Arc::clone(vendor),
            fields: at
                .into_iter()
                .flat_map(|at| &at.fields)
                .filter(|(name, _)| without != Some(name.as_str()))
                .map(field)
                .collect(),
            base: at.and_then(|at| at.base.clone()),
            _sandbox: sandbox,
        }
    }

    /// Does a call, which must succeed, and keeps what it sends to the vendor itself.
    pub(crate) async fn exchange(&self, operation: &str, jobs: &[Job]) -> Exchange {
        let recorder = Recorder::new(
            CANNED
                .iter()
                .find(|(name, _)| *name == self.vendor.name)
                .map(|(_, answer)| *answer),
        );
        let recorded = perform(
            &self.account(self.base.as_deref()),
            operation,
            jobs,
            &recorder,
        )
        .await;
        for outcome in &recorded {
            assert!(outcome.is_ok(), "the sandbox refuses it: {outcome:?}");
        }
        let recorded = recorder.answers.into_inner().unwrap();
        let replay = Replay::new(&recorded, self.base.as_deref(), true);
        let replayed = perform(&self.account(None), operation, jobs, &replay).await;
        for outcome in &replayed {
            assert!(outcome.is_ok(), "{outcome:?}");
        }
        assert!(replay.left.into_inner().unwrap().is_empty());
        Exchange {
            sent: replay.sent.into_inner().unwrap(),
            answers: recorded.into_iter().map(|(_, answer)| answer).collect(),
        }
    }

    /// Does a call over another's answers, as far as it goes.
    pub(crate) async fn again(&self, operation: &str, jobs: &[Job], other: &Exchange) -> Vec<Sent> {
        let answers: Vec<_> = other
            .answers
            .iter()
            .map(|answer| (String::new(), answer.clone()))
            .collect();
        let replay = Replay::new(&answers, self.base.as_deref(), false);
        let _ = perform(&self.account(None), operation, jobs, &replay).await;
        replay.sent.into_inner().unwrap()
    }

    fn account(&self, base: Option<&str>) -> Account {
        // A key file names the address of tokens itself.
        let at_home = |value: &str| match (&self.base, base) {
            (Some(sandbox), None) => value.replace(sandbox, "https://oauth2.googleapis.com"),
            _ => value.to_owned(),
        };
        let fields = self
            .fields
            .iter()
            .map(|(name, value)| (name.clone(), Secret::new(at_home(value))));
        Account::new(
            self.vendor.name.clone(),
            Arc::clone(&self.vendor),
            base.map(str::to_owned),
            fields.collect(),
        )
    }
}

async fn perform(
    account: &Account,
    operation: &str,
    jobs: &[Job],
    transport: &dyn Transport,
) -> Vec<Result<Output, Failure>> {
    let call = Call {
        account,
        operation: account.vendor.operation(operation).unwrap(),
        transport,
        tokens: &Tokens::default(),
        deadline: Instant::now() + Duration::from_mins(1),
        id: ID,
        extra: false,
    };
    call.perform(jobs).await
}

/// Sends to the sandbox, and keeps the answers. One request at a time, in the order asked: calls of a batch run at once.
struct Recorder {
    client: reqwest::Client,
    canned: Option<&'static str>,
    turn: tokio::sync::Mutex<()>,
    answers: Mutex<Vec<(String, Response)>>,
}

impl Recorder {
    fn new(canned: Option<&'static str>) -> Self {
        // The client asks for a provider even where nothing is encrypted; another trial may have named it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none());
        Self {
            client: client.build().unwrap(),
            canned,
            turn: tokio::sync::Mutex::default(),
            answers: Mutex::default(),
        }
    }

    async fn http(&self, request: Request) -> Response {
        let body = request.body.to_bytes().unwrap();
        let mut builder = self
            .client
            .request(request.method, request.uri.to_string())
            .headers(request.headers);
        if !body.is_empty() {
            builder = builder.body(body);
        }
        let answer = builder.send().await.unwrap();
        Response {
            status: answer.status(),
            headers: answer.headers().clone(),
            body: answer.bytes().await.unwrap(),
        }
    }
}

/// Says all that it has to say at once, and gathers what comes back until the end.
async fn converse(request: &Request, messages: &[Bytes]) -> Response {
    use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
    let stream = tokio::net::TcpStream::connect(request.uri.authority().unwrap().as_str());
    let mut handshake = request.uri.to_string().into_client_request().unwrap();
    for (name, value) in &request.headers {
        handshake.headers_mut().insert(name, value.clone());
    }
    let (mut socket, _) = tokio_tungstenite::client_async(handshake, stream.await.unwrap())
        .await
        .unwrap();
    for message in messages {
        let text = String::from_utf8(message.to_vec()).unwrap();
        socket.send(Message::text(text)).await.unwrap();
    }
    let mut gathered = Vec::new();
    while let Some(Ok(received)) = socket.next().await {
        match received {
            Message::Text(text) => gathered.push(text.to_string()),
            Message::Close(_) => break,
            _ => {}
        }
    }
    Response {
        status: StatusCode::OK,
        headers: HeaderMap::new(),
        body: format!("[{}]", gathered.join(",")).into(),
    }
}

#[async_trait]
impl Transport for Recorder {
    async fn send(&self, request: Request, _: Duration) -> Result<Response, Evidence> {
        let _turn = self.turn.lock().await;
        let path = request.uri.path().to_owned();
        let answer = match (&request.talk, self.canned) {
            (_, Some(canned)) => Response {
                status: StatusCode::OK,
                headers: HeaderMap::new(),
                body: canned.into(),
            },
            (Talk::Http, None) => self.http(request).await,
            (Talk::Socket { messages, .. }, None) => converse(&request, messages).await,
        };
        self.answers.lock().unwrap().push((path, answer.clone()));
        Ok(answer)
    }

    async fn pause(&self, _: Duration) {}
}

/// Answers with what was recorded, and keeps what is sent.
struct Replay<'a> {
    left: Mutex<VecDeque<(String, Response)>>,
    base: Option<&'a str>,
    /// Whether requests must go where they went at the sandbox.
    strict: bool,
    turn: tokio::sync::Mutex<()>,
    sent: Mutex<Vec<Sent>>,
}

impl<'a> Replay<'a> {
    fn new(answers: &[(String, Response)], base: Option<&'a str>, strict: bool) -> Self {
        Self {
            left: Mutex::new(answers.iter().cloned().collect()),
            base,
            strict,
            turn: tokio::sync::Mutex::default(),
            sent: Mutex::default(),
        }
    }

    /// An answer with the vendor's host where the sandbox's address stands.
    fn at_home(&self, answer: Response, uri: &Uri) -> Response {
        let Some(base) = self.base else {
            return answer;
        };
        let Ok(text) = std::str::from_utf8(&answer.body) else {
            return answer;
        };
        let home = format!(
            "{}://{}",
            uri.scheme_str().unwrap(),
            uri.authority().unwrap()
        );
        Response {
            body: text.replace(base, &home).into(),
            ..answer
        }
    }
}

#[async_trait]
impl Transport for Replay<'_> {
    async fn send(&self, request: Request, _: Duration) -> Result<Response, Evidence> {
        let _turn = self.turn.lock().await;
        // The others of a batch ask for their turns meanwhile, as they do while the sandbox is at work.
        tokio::task::yield_now().await;
        let body = request.body.to_bytes().unwrap();
        self.sent.lock().unwrap().push(Sent {
            method: request.method,
            uri: request.uri.clone(),
            headers: request.headers,
            body,
            talk: request.talk,
        });
        let Some((path, answer)) = self.left.lock().unwrap().pop_front() else {
            return Err(Evidence::NotSent(Fault::Connect));
        };
        let own = request.uri.path();
        assert!(
            !self.strict || path.ends_with(own),
            "{own} is sent where it was {path}"
        );
        Ok(self.at_home(answer, &request.uri))
    }

    async fn pause(&self, _: Duration) {}

    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(NOW)
    }
}
