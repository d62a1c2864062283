//! The configuration of one gateway under test: the shipped files, pointed at the simulator, with a test's changes.

use super::{super::simulator::Family, names};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// What a test wants to be different.
#[derive(Debug, Clone, Default)]
pub struct Options {
    settings: Vec<(String, Value)>,
    extra_providers: Vec<String>,
    environment: Vec<(String, String)>,
    without_credential: Vec<String>,
    upstreams: Vec<(String, String)>,
    providers_yaml: Option<String>,
    prices_yaml: Option<String>,
}

impl Options {
    /// Sets a member of gateway.yaml: `set("/requests/body_bytes_max", json!(2048))`.
    #[must_use]
    pub fn set(mut self, pointer: &str, value: Value) -> Self {
        self.settings.push((pointer.to_owned(), value));
        self
    }

    /// Adds an OpenAI-compatible provider, also on the simulator.
    #[must_use]
    pub fn extra_provider(mut self, name: &str) -> Self {
        self.extra_providers.push(name.to_owned());
        self
    }

    /// Sets a variable of the gateway's environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Leaves a provider's credential unset.
    #[must_use]
    pub fn without_credential(mut self, provider: &str) -> Self {
        self.without_credential.push(provider.to_owned());
        self
    }

    /// Gives providers an upstream of their own instead of the simulator; the URL is taken whole, with its path.
    #[must_use]
    pub fn upstreams(mut self, upstreams: &[(&str, &str)]) -> Self {
        self.upstreams.extend(upstreams.iter().map(|(provider, url)| ((*provider).to_owned(), (*url).to_owned())));
        self
    }

    /// Another providers.yaml than the shipped one; its upstreams are pointed at the simulator all the same.
    #[must_use]
    pub fn providers_yaml(mut self, text: &str) -> Self {
        self.providers_yaml = Some(text.to_owned());
        self
    }

    /// Another prices.yaml than the shipped one.
    #[must_use]
    pub fn prices_yaml(mut self, text: &str) -> Self {
        self.prices_yaml = Some(text.to_owned());
        self
    }
}

/// The files' texts before they know where the simulator is.
#[derive(Debug)]
pub struct Files {
    options: Options,
    providers: String,
    prices: String,
    /// Each provider's variable, and the credential that it will hold.
    credentials: Vec<Credential>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    pub provider: String,
    pub variable: String,
    pub secret: String,
}

impl Credential {
    /// The simulator's family that accepts it.
    pub fn family(&self) -> Family {
        match self.provider.as_str() {
            "anthropic" => Family::Anthropic,
            "google" => Family::Gemini,
            "alibaba" => Family::DashScope,
            "byteplus" => Family::Ark,
            "mulerouter" => Family::MuleRouter,
            _ => Family::OpenAi,
        }
    }
}

impl Files {
    /// Reads the shipped files and makes up the credentials.
    pub fn new(options: Options) -> Self {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf");
        let read = |name: &str| fs::read_to_string(shipped.join(name)).unwrap_or_else(|e| panic!("conf/{name}: {e}"));
        let mut providers = options.providers_yaml.clone().unwrap_or_else(|| read("providers.yaml"));
        for name in &options.extra_providers {
            let variable = format!("{}_API_KEY", name.to_ascii_uppercase().replace('-', "_"));
            // The address is replaced like every other.
            providers.push_str(&names::extra_provider(name, "https://extra.example", &variable));
        }
        let prices = options.prices_yaml.clone().unwrap_or_else(|| read("prices.yaml"));
        let mut credentials = variables(&providers);
        credentials.retain(|credential| !options.without_credential.contains(&credential.provider));
        Self { options, providers, prices, credentials }
    }

    /// The credentials of all providers.
    pub fn credentials(&self) -> &[Credential] {
        &self.credentials
    }

    /// The gateway's environment.
    pub fn environment(&self) -> BTreeMap<String, String> {
        let credentials = self.credentials.iter().map(|one| (one.variable.clone(), one.secret.clone()));
        credentials.chain(self.options.environment.iter().cloned()).collect()
    }

    /// Writes the three files under `folder`, and returns theirs.
    pub fn write(&self, folder: &Path, simulator: SocketAddr) -> PathBuf {
        let conf = folder.join("conf");
        fs::create_dir_all(&conf).expect("a folder for the configuration");
        let mut gateway = names::gateway_yaml(folder);
        for (pointer, value) in &self.options.settings {
            set(&mut gateway, pointer, value.clone());
        }
        let gateway = serde_json::to_string_pretty(&gateway).expect("JSON can be written");
        let providers = point_at(&self.providers, simulator, &self.options.upstreams);
        for (name, text) in [("gateway.yaml", &gateway), ("providers.yaml", &providers), ("prices.yaml", &self.prices)]
        {
            fs::write(conf.join(name), text).expect("the configuration can be written");
        }
        conf
    }
}

/// The provider that a line begins: a key with two spaces before it.
fn provider_of(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("  ").filter(|rest| !rest.starts_with([' ', '#']))?;
    rest.split(':').next()
}

/// Finds `env:NAME` under each provider.
fn variables(providers: &str) -> Vec<Credential> {
    let mut provider = "";
    let mut found: Vec<Credential> = Vec::new();
    for line in providers.lines().filter(|line| !line.trim_start().starts_with('#')) {
        provider = provider_of(line).unwrap_or(provider);
        for rest in line.split("env:").skip(1) {
            let name = rest.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).next();
            let variable = name.unwrap_or_default().to_owned();
            let secret = format!("sk-canary-credential-of-{provider}-{}", variable.to_ascii_lowercase());
            found.push(Credential { provider: provider.to_owned(), variable, secret });
        }
    }
    found
}

/// Replaces scheme, host and port of every `upstream:`; a path stays. A provider with a URL of its own gets that.
fn point_at(providers: &str, simulator: SocketAddr, own: &[(String, String)]) -> String {
    let mut provider = "";
    let line = |line| {
        provider = provider_of(line).unwrap_or(provider);
        let Some((before, url)) = line.split_once("upstream:") else { return line.to_owned() };
        let Some((_, rest)) = url.split_once("://") else { return line.to_owned() };
        if let Some((_, url)) = own.iter().find(|(name, _)| name == provider) {
            return format!("{before}upstream: {url}");
        }
        let url = rest.split([' ', '"', '\'']).next().unwrap_or_default();
        let path = url.split_once('/').map_or_else(String::new, |(_, path)| format!("/{path}"));
        format!("{before}upstream: http://{simulator}{path}")
    };
    providers.lines().map(line).collect::<Vec<_>>().join("\n") + "\n"
}

/// Sets a member, making the objects on the way to it.
fn set(root: &mut Value, pointer: &str, value: Value) {
    let mut place = root;
    for name in pointer.split('/').skip(1) {
        place = match place {
            Value::Array(items) => &mut items[name.parse::<usize>().expect("an index")],
            other => {
                if !other.is_object() {
                    *other = Value::Object(serde_json::Map::new());
                }
                &mut other[name]
            }
        };
    }
    *place = value;
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROVIDERS: &str = "# env:NOT_THIS\nproviders:\n  openai:\n    upstream: https://api.openai.com\n    \
                             credential: env:OPENAI_API_KEY\n  google:\n    upstream: \"https://g.example/base/v1\"\n    \
                             credential: env:GEMINI_API_KEY # comment\n";

    #[test]
    fn each_provider_has_a_credential_of_its_own() {
        let found: Vec<_> = variables(PROVIDERS).into_iter().map(|one| (one.provider, one.variable)).collect();
        let expected = [("openai", "OPENAI_API_KEY"), ("google", "GEMINI_API_KEY")];
        assert_eq!(found, expected.map(|(provider, variable)| (provider.to_owned(), variable.to_owned())));
    }

    #[test]
    fn upstreams_keep_their_path() {
        let text = point_at(PROVIDERS, "127.0.0.1:9".parse().unwrap(), &[]);
        assert!(text.contains("    upstream: http://127.0.0.1:9\n"), "{text}");
        assert!(text.contains("    upstream: http://127.0.0.1:9/base/v1\n"), "{text}");
    }

    #[test]
    fn a_provider_may_have_an_upstream_of_its_own() {
        let own = [("google".to_owned(), "http://127.0.0.1:8/own".to_owned())];
        let text = point_at(PROVIDERS, "127.0.0.1:9".parse().unwrap(), &own);
        assert!(text.contains("    upstream: http://127.0.0.1:9\n"), "{text}");
        assert!(text.contains("    upstream: http://127.0.0.1:8/own\n"), "{text}");
    }

    #[test]
    fn a_setting_makes_its_way() {
        let mut root = serde_json::json!({"a": [{"b": 1}]});
        set(&mut root, "/a/0/b", 2.into());
        set(&mut root, "/c/d", 3.into());
        assert_eq!(root, serde_json::json!({"a": [{"b": 2}], "c": {"d": 3}}));
    }
}
