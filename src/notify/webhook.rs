//! Alerts as `POST`s of JSON to a webhook. One try a call; who calls tries again.

use super::signature;
use crate::{
    base::clock::{Duration, Timestamp},
    budgets::{alerts::Alert, port::AlertReceiver, settings},
};
use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, header};
use http_body_util::Full;
use hyper_tls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};

/// The longest that a receiver may take.
const TIME_MAX: Duration = Duration::from_secs(10);

/// A receiver's address, with what its deliveries are signed with.
#[derive(Debug)]
pub struct Webhook {
    settings: settings::Webhook,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl Webhook {
    /// Delivers to this address.
    pub fn new(settings: settings::Webhook) -> Self {
        Self { settings, client: Client::builder(TokioExecutor::new()).build(HttpsConnector::new()) }
    }
}

#[async_trait]
impl AlertReceiver for Webhook {
    async fn deliver(&self, alert: &Alert, now: Timestamp) -> Result<(), String> {
        let request = Request::post(&self.settings.url)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, "sociaro-gateway")
            .header("X-Gateway-Event", "budget.alert")
            .header("X-Gateway-Delivery", alert.id())
            .header("X-Gateway-Signature", signature::header(&self.settings.secret, now, &alert.document))
            .body(Full::new(Bytes::from(alert.document.clone())))
            .map_err(|error| error.to_string())?;
        match tokio::time::timeout(TIME_MAX, self.client.request(request)).await {
            Ok(Ok(answer)) if answer.status().is_success() => Ok(()),
            Ok(Ok(answer)) => Err(format!("it answered {}", answer.status().as_u16())),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("it did not answer in time".to_owned()),
        }
    }
}
