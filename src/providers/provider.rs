//! One provider as the configuration describes it.

use crate::base::{
    clock::Duration,
    ids::{EndpointName, ProviderName},
    secret::Secret,
};

/// A wire format that several providers share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    OpenAi,
    Anthropic,
    Gemini,
    DashScope,
    Ark,
    MuleRouter,
}

/// A place in a request where a secret can stand.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum AuthSlot {
    /// `Authorization: Bearer <secret>`
    Bearer,
    /// A header whose whole value is the secret; the name in lower case.
    Header(String),
    /// A query parameter.
    Query(String),
    /// A WebSocket subprotocol with this prefix, such as `openai-insecure-api-key.`
    Subprotocol(String),
}

/// Where a request to an endpoint names its model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelPlace {
    /// The member of that name at the top of a JSON body.
    Json(String),
    /// The field of that name in a multipart body.
    Multipart(String),
    /// Either, by the request's content type.
    JsonOrMultipart(String),
    /// The path parameter `{model}` of the endpoint's path pattern.
    Path,
    /// A query parameter.
    Query(String),
    /// The request names no model.
    None,
}

/// What kind of endpoint it is, for entitlements and billing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EndpointKind {
    /// Does work that costs money.
    Inference,
    /// Read-only listing: any allow rule for the provider opens it.
    Listing,
    /// Costs nothing (counting tokens); its model is checked like any other.
    Free,
}

/// One endpoint of a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    pub name: EndpointName,
    /// Upper case; `None` matches every method.
    pub method: Option<String>,
    /// The provider's native path: literal segments, `{name}` for one segment, `{name}:verb` with a literal rest,
    /// `{name*}` for one or more segments.
    pub path: String,
    pub model: ModelPlace,
    pub kind: EndpointKind,
}

/// Where a provider is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    pub tls: bool,
    pub host: String,
    pub port: u16,
    /// Put before the caller's path; empty or starting with `/` and not ending with one.
    pub base_path: String,
    /// Certificates are checked against the system's roots unless this is off (tests only).
    pub verify_tls: bool,
}

/// Bounds on one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeouts {
    /// TCP alone.
    pub connect: Duration,
    /// TCP and TLS together.
    pub connect_total: Duration,
    /// The longest silence while waiting for the answer or between two of its chunks.
    pub read: Duration,
    pub write: Duration,
    /// How long an idle connection is kept for reuse.
    pub idle: Duration,
}

/// How far an answer is read on after its caller has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrainBounds {
    pub time_max: Duration,
    /// Of the answer's head, body and framing.
    pub bytes_max: u64,
}

/// One provider, enabled: its credential is at hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provider {
    pub name: ProviderName,
    pub upstream: Upstream,
    pub dialect: Dialect,
    pub credential: Secret,
    /// Where callers may put their gateway key, tried in order.
    pub accept: Vec<AuthSlot>,
    /// Where the credential goes.
    pub inject: AuthSlot,
    /// Of the slots in `accept`, those in which the credential takes the gateway key's own place instead: Gemini wants
    /// `Bearer` on its OpenAI-compatible endpoint, where callers send it so, and refuses it everywhere else.
    pub in_place: Vec<AuthSlot>,
    /// Tried in order; the first whose method and path match wins.
    pub endpoints: Vec<Endpoint>,
    pub timeouts: Timeouts,
    /// Attribution headers (`x-project`, `x-attr-…`) are not forwarded.
    pub strip_attribution: bool,
    /// After a caller has gone: `None` cancels at once.
    pub drain: Option<DrainBounds>,
}

impl Default for DrainBounds {
    fn default() -> Self {
        Self { time_max: Duration::from_secs(30), bytes_max: 8 * 1024 * 1024 }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            connect_total: Duration::from_secs(10),
            // Reasoning models are silent for minutes; official SDKs wait as long.
            read: Duration::from_mins(10),
            write: Duration::from_mins(1),
            idle: Duration::from_mins(1),
        }
    }
}
