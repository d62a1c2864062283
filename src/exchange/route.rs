//! The providers that callers can reach, by the first segment of the path.

use super::endpoint::EndpointTable;
use crate::providers::{addresses::Addresses, provider::Provider};
use http::HeaderValue;
use memchr::memmem;
use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

/// One provider, ready to serve: its settings, its compiled endpoints, its addresses.
pub struct Route {
    pub provider: Provider,
    pub endpoints: EndpointTable,
    pub addresses: Addresses,
    /// The value of the upstream's `Host` header.
    pub host_header: HeaderValue,
    /// Finds the credential in what comes back.
    pub credential: memmem::Finder<'static>,
    /// What connections are pooled by: provider and credential.
    pub pool_key: u64,
}

/// All routes.
#[derive(Default)]
pub struct Routes(HashMap<String, Arc<Route>>);

impl Routes {
    /// Compiles the providers' endpoints.
    ///
    /// # Errors
    /// What is wrong with which provider's endpoints.
    pub fn new(providers: Vec<Provider>) -> Result<Self, Vec<String>> {
        let mut routes = HashMap::new();
        let mut faults = Vec::new();
        for provider in providers {
            let upstream = &provider.upstream;
            let addresses = Addresses::new(&upstream.host, upstream.port);
            let default_port = if upstream.tls { 443 } else { 80 };
            let host_header = if upstream.port == default_port {
                upstream.host.clone()
            } else {
                format!("{}:{}", upstream.host, upstream.port)
            };
            let Ok(host_header) = HeaderValue::try_from(host_header) else {
                faults.push(format!("{}: the upstream's host cannot stand in a header", provider.name));
                continue;
            };
            match EndpointTable::new(&provider.endpoints) {
                Ok(endpoints) => {
                    let name = provider.name.as_str().to_owned();
                    let pool_key = pool_key(&provider);
                    let credential = memmem::Finder::new(provider.credential.expose()).into_owned();
                    let route = Route { provider, endpoints, addresses, host_header, credential, pool_key };
                    routes.insert(name, Arc::new(route));
                }
                Err(found) => faults.extend(found.into_iter().map(|fault| format!("{}: {fault}", provider.name))),
            }
        }
        if faults.is_empty() { Ok(Self(routes)) } else { Err(faults) }
    }

    /// The route of that name.
    pub fn find(&self, name: &str) -> Option<&Arc<Route>> {
        self.0.get(name)
    }

    /// All routes, in no order.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.0.values()
    }
}

/// Connections of two providers, or of two credentials, are never shared.
fn pool_key(provider: &Provider) -> u64 {
    let mut key = DefaultHasher::new();
    (provider.name.as_str(), provider.credential.expose()).hash(&mut key);
    key.finish()
}
