//! The providers that callers can reach, by the first segment of the path.

use super::endpoint::EndpointTable;
use crate::providers::{addresses::Addresses, provider::Provider};
use std::{collections::HashMap, sync::Arc};

/// One provider, ready to serve: its settings, its compiled endpoints, its addresses.
pub struct Route {
    pub provider: Provider,
    pub endpoints: EndpointTable,
    pub addresses: Addresses,
    /// The value of the upstream's `Host` header.
    pub host_header: String,
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
            match EndpointTable::new(&provider.endpoints) {
                Ok(endpoints) => {
                    let name = provider.name.as_str().to_owned();
                    routes.insert(name, Arc::new(Route { provider, endpoints, addresses, host_header }));
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
