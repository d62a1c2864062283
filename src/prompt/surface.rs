//! The surface as its handlers see it.

use super::{
    catalog::Catalog,
    course::Course,
    dial::Dial,
    handed::Given,
    refusal::{Code, No},
    reply::Reply,
    settings::Settings,
};
use crate::{
    exchange::{
        admit::Gate,
        refusal::{Kind, Refusal},
    },
    masking::Detector,
};
use http::HeaderMap;
use std::{net::IpAddr, sync::Arc};

/// What the surface needs.
pub struct Surface {
    pub gate: Arc<Gate>,
    pub catalog: Catalog,
    pub detector: Detector,
    pub dial: Arc<dyn Dial>,
    pub settings: Settings,
}

/// A request's head, as far as it matters here.
pub struct Caller {
    pub headers: HeaderMap,
    pub address: IpAddr,
}

impl Surface {
    /// `POST /`, `POST /v1/gateway`.
    pub async fn ask(&self, caller: &Caller, given: Given) -> Reply {
        Course::begin(self, given.exchange, given.left, "prompt").ask(caller, given.body).await
    }

    /// `GET /models`, `GET /v1/models`.
    pub async fn models(&self, caller: &Caller, given: Given) -> Reply {
        Course::begin(self, given.exchange, given.left, "models").models(caller).await
    }
}

/// What is answered to another method than the one that a path takes.
pub fn wrong_method(path: &str) -> No {
    let outside = if super::ASK_PATHS.contains(&path) {
        "send prompts here with POST; a provider's own API stands under its name, such as /openai/v1/chat/completions"
    } else {
        "the catalog is read with GET"
    };
    No { code: Code::MethodNotAllowed, refusal: Refusal::new(Kind::MethodNotAllowed, outside) }
}
