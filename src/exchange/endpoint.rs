//! Which of a provider's endpoints a request is for, and what its path names.
//!
//! Patterns are compiled once; a path is matched decoded, segment by segment, in linear time. It matches generously where a
//! server might (case of literals and methods, empty segments), since a request that no pattern matches escapes the check of
//! its model.

use super::target::percent_decoded;
use crate::providers::provider::{Endpoint, ModelPlace};
use http::HeaderMap;
use std::{borrow::Cow, sync::Arc};

/// Headers that servers take as the request's method instead of the one in its first line.
const METHOD_OVERRIDES: [&str; 3] = ["x-http-method-override", "x-http-method", "x-method-override"];

/// The header, if there is one, by which a request would have another method at the provider than the one that is matched
/// here. Such a request is to be refused.
pub fn method_override(headers: &HeaderMap) -> Option<&'static str> {
    let dashed = |byte: u8| if byte == b'_' { b'-' } else { byte };
    let is_override = |name: &str, known: &str| name.bytes().map(dashed).eq(known.bytes());
    let with_x = headers.keys().map(http::HeaderName::as_str).filter(|name| name.starts_with('x'));
    with_x.into_iter().find_map(|name| METHOD_OVERRIDES.into_iter().find(|known| is_override(name, known)))
}

/// A provider's endpoints, ready to be matched.
#[derive(Debug)]
pub struct EndpointTable {
    routes: Vec<Route>,
}

/// The endpoint that a request is for.
#[derive(Debug)]
pub struct Found<'t> {
    pub endpoint: &'t Arc<Endpoint>,
    /// What the path's parameters stand for, decoded.
    parameters: Vec<(&'t str, String)>,
}

impl Found<'_> {
    /// What a parameter of the path stands for, decoded.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(found, _)| *found == name).map(|(_, value)| value.as_str())
    }

    /// The model, if the path names it.
    pub fn model(&self) -> Option<&str> {
        self.parameter("model").filter(|_| self.endpoint.model == ModelPlace::Path)
    }
}

#[derive(Debug)]
struct Route {
    endpoint: Arc<Endpoint>,
    before: Vec<Piece>,
    /// `{name*}` and what stands behind it.
    many: Option<(Capture, Vec<Piece>)>,
}

#[derive(Debug)]
enum Piece {
    Literal(String),
    One(Capture),
}

/// `{name}` or `{name}:verb`.
#[derive(Debug)]
struct Capture {
    name: String,
    verb: Option<String>,
}

impl EndpointTable {
    /// Compiles the patterns; their order is their priority. Says everything that is wrong.
    pub fn new(endpoints: &[Endpoint]) -> Result<Self, Vec<String>> {
        let (mut routes, mut faults) = (Vec::new(), Vec::new());
        for endpoint in endpoints {
            match Route::compile(endpoint) {
                Ok(route) => routes.push(route),
                Err(fault) => faults.push(format!("endpoint `{}`: {fault}", endpoint.name)),
            }
        }
        if faults.is_empty() { Ok(Self { routes }) } else { Err(faults) }
    }

    /// The first endpoint that takes this method and the provider's raw path (`Target::path`). `HEAD` is taken for `GET`.
    pub fn find(&self, method: &str, path: &str) -> Option<Found<'_>> {
        let segments: Vec<Cow<'_, str>> =
            path.split('/').filter(|segment| !segment.is_empty()).map(decoded).collect::<Option<_>>()?;
        let method = if method.eq_ignore_ascii_case("HEAD") { "GET" } else { method };
        self.routes.iter().find_map(|route| {
            let wanted = route.endpoint.method.as_deref();
            if wanted.is_some_and(|wanted| !wanted.eq_ignore_ascii_case(method)) {
                return None;
            }
            Some(Found { endpoint: &route.endpoint, parameters: route.capture(&segments)? })
        })
    }
}

impl Route {
    fn compile(endpoint: &Endpoint) -> Result<Self, String> {
        let mut route = Self { endpoint: Arc::new(endpoint.clone()), before: Vec::new(), many: None };
        let method = endpoint.method.as_deref();
        if method.is_some_and(|method| method.is_empty() || !method.bytes().all(|byte| byte.is_ascii_uppercase())) {
            return Err("the method must be in upper case".into());
        }
        if method == Some("HEAD") {
            return Err("`HEAD` is taken for `GET`; name `GET`".into());
        }
        let path = endpoint.path.strip_prefix('/').ok_or("the path must begin with `/`")?;
        let mut names: Vec<&str> = Vec::new();
        for segment in path.split('/') {
            let Some(capture) = segment.strip_prefix('{') else {
                route.push(Piece::Literal(literal(segment)?.to_owned()));
                continue;
            };
            let (name, verb) = capture.split_once('}').ok_or_else(|| format!("`{segment}` lacks its `}}`"))?;
            let verb = match (verb, verb.strip_prefix(':')) {
                ("", _) => None,
                (_, Some(verb)) => Some(literal(verb)?.to_owned()),
                _ => return Err(format!("in `{segment}` only `:verb` may follow the `}}`")),
            };
            let bare = name.strip_suffix('*').unwrap_or(name);
            if bare.is_empty() || !bare.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') {
                return Err(format!("in `{segment}` the name must be of `a` to `z` and `_`"));
            }
            if names.contains(&bare) {
                return Err(format!("the path has `{{{bare}}}` twice"));
            }
            names.push(bare);
            let capture = Capture { name: bare.to_owned(), verb };
            if bare == name {
                route.push(Piece::One(capture));
            } else if route.many.replace((capture, Vec::new())).is_some() {
                return Err("the path may have one `{name*}`".into());
            }
        }
        if endpoint.model == ModelPlace::Path && !names.contains(&"model") {
            return Err("its model stands in the path, but the path has no `{model}`".into());
        }
        Ok(route)
    }

    fn push(&mut self, piece: Piece) {
        match &mut self.many {
            Some((_, after)) => after.push(piece),
            None => self.before.push(piece),
        }
    }

    fn capture(&self, segments: &[Cow<'_, str>]) -> Option<Vec<(&str, String)>> {
        let mut parameters = Vec::new();
        let (head, rest) = segments.split_at_checked(self.before.len())?;
        take_all(&self.before, head, &mut parameters)?;
        let Some((capture, after)) = &self.many else { return rest.is_empty().then_some(parameters) };
        let (many, tail) = rest.split_at_checked(rest.len().checked_sub(after.len())?)?;
        if many.is_empty() {
            return None;
        }
        parameters.push((capture.name.as_str(), capture.take(&many.join("/"))?.to_owned()));
        take_all(after, tail, &mut parameters)?;
        Some(parameters)
    }
}

/// Matches as many segments as there are pieces.
fn take_all<'p>(pieces: &'p [Piece], segments: &[Cow<'_, str>], parameters: &mut Vec<(&'p str, String)>) -> Option<()> {
    for (piece, segment) in pieces.iter().zip(segments) {
        match piece {
            Piece::Literal(text) if text.eq_ignore_ascii_case(segment) => {}
            Piece::Literal(_) => return None,
            Piece::One(capture) => parameters.push((capture.name.as_str(), capture.take(segment)?.to_owned())),
        }
    }
    Some(())
}

/// A segment as the text that it means.
fn decoded(segment: &str) -> Option<Cow<'_, str>> {
    match percent_decoded(segment)? {
        Cow::Borrowed(_) => Some(Cow::Borrowed(segment)),
        Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
    }
}

impl Capture {
    /// What stands before the verb, if the text ends with it.
    fn take<'s>(&self, text: &'s str) -> Option<&'s str> {
        let Some(verb) = &self.verb else { return Some(text) };
        let (value, found) = text.rsplit_once(':')?;
        (found.eq_ignore_ascii_case(verb) && !value.is_empty()).then_some(value)
    }
}

/// A literal segment or verb, checked.
fn literal(text: &str) -> Result<&str, String> {
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic() && !b"{}*%?#;\\".contains(&byte));
    if plain && !matches!(text, "" | "." | "..") { Ok(text) } else { Err(format!("`{text}` is no literal segment")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{base::ids::EndpointName, providers::provider::EndpointKind};
    use proptest::prelude::*;

    fn endpoint(name: &str, method: &str, path: &str) -> Endpoint {
        Endpoint {
            name: EndpointName::new(name),
            method: (method != "*").then(|| method.to_owned()),
            path: path.to_owned(),
            model: if path.contains("{model") { ModelPlace::Path } else { ModelPlace::None },
            kind: EndpointKind::Inference,
        }
    }

    fn table() -> EndpointTable {
        EndpointTable::new(&[
            endpoint("chat", "POST", "/v1/chat/completions"),
            endpoint("models", "GET", "/v1/models"),
            endpoint("first", "GET", "/v1/models/special"),
            endpoint("model", "GET", "/v1/models/{id}"),
            endpoint("generate", "POST", "/{version}/models/{model}:generateContent"),
            endpoint("tuned", "POST", "/{version}/tunedModels/{model}:generateContent"),
            endpoint("media", "POST", "/vendors/{vendor}/v1/{model}/{action*}"),
            endpoint("tail", "*", "/files/{rest*}/content"),
            endpoint("deep", "POST", "/deep/{model*}:run"),
        ])
        .unwrap()
    }

    #[test]
    fn the_first_endpoint_that_matches_is_found_with_its_parameters() {
        let table = table();
        let cases: [(&str, &str, Option<&str>, &[(&str, &str)]); 25] = [
            ("POST", "/v1/chat/completions", Some("chat"), &[]),
            ("POST", "//v1//chat/completions/", Some("chat"), &[]),
            ("POST", "/V1/chat/Comple%74ions", Some("chat"), &[]),
            ("post", "/v1/chat/completions", Some("chat"), &[]),
            ("GET", "/v1/chat/completions", None, &[]),
            ("POST", "/v1/chat", None, &[]),
            ("POST", "/v1/chat/completions/x", None, &[]),
            ("POST", "/", None, &[]),
            ("GET", "/v1/models", Some("models"), &[]),
            ("HEAD", "/v1/models", Some("models"), &[]),
            ("GET", "/v1/models/special", Some("first"), &[]),
            ("GET", "/v1/models/ft:gpt%2D4o:org", Some("model"), &[("id", "ft:gpt-4o:org")]),
            (
                "POST",
                "/v1beta/models/g-2.5:generateContent",
                Some("generate"),
                &[("version", "v1beta"), ("model", "g-2.5")],
            ),
            ("POST", "/v1/models/g%3AgenerateContent", Some("generate"), &[("version", "v1"), ("model", "g")]),
            ("POST", "/v1/models/a:b:generatecontent", Some("generate"), &[("version", "v1"), ("model", "a:b")]),
            ("POST", "/v1/models/:generateContent", None, &[]),
            ("POST", "/v1/models/g:countTokens", None, &[]),
            ("POST", "/v1/models/g", None, &[]),
            (
                "POST",
                "/vendors/k/v1/m-1/speech/generation",
                Some("media"),
                &[("vendor", "k"), ("model", "m-1"), ("action", "speech/generation")],
            ),
            ("POST", "/vendors/k/v1/m-1", None, &[]),
            ("PATCH", "/files/a/b/content", Some("tail"), &[("rest", "a/b")]),
            ("GET", "/files/content", None, &[]),
            ("GET", "/files/content/content", Some("tail"), &[("rest", "content")]),
            ("POST", "/deep/a/b:run", Some("deep"), &[("model", "a/b")]),
            ("POST", "/deep/a:run/b", None, &[]),
        ];
        for (method, path, name, parameters) in cases {
            let found = table.find(method, path);
            assert_eq!(found.as_ref().map(|found| found.endpoint.name.as_str()), name, "{method} {path}");
            for (parameter, value) in parameters {
                let found = found.as_ref().unwrap();
                assert_eq!(found.parameter(parameter), Some(*value), "{method} {path}");
                if *parameter == "model" {
                    assert_eq!(found.model(), Some(*value));
                }
            }
        }
    }

    #[test]
    fn every_wrong_pattern_is_named() {
        let wrong = [
            ("GET", "v1"),
            ("GET", "/v1//x"),
            ("GET", "/v1/"),
            ("GET", "/v1/{x"),
            ("GET", "/v1/{}"),
            ("GET", "/v1/{x}y"),
            ("GET", "/v1/{x}:"),
            ("GET", "/v1/{X}"),
            ("GET", "/v1/a{x}"),
            ("GET", "/{x}/{x}"),
            ("GET", "/{x*}/{y*}"),
            ("GET", "/a?b"),
            ("GET", "/a%20b"),
            ("GET", "/../a"),
            ("get", "/v1"),
            ("HEAD", "/v1"),
        ];
        let endpoints: Vec<_> = wrong.iter().map(|(method, path)| endpoint("e", method, path)).collect();
        assert_eq!(EndpointTable::new(&endpoints).unwrap_err().len(), wrong.len());
        let mut no_model = endpoint("e", "GET", "/v1");
        no_model.model = ModelPlace::Path;
        let faults = EndpointTable::new(&[no_model]).unwrap_err();
        assert_eq!(faults, ["endpoint `e`: its model stands in the path, but the path has no `{model}`"]);
    }

    #[test]
    fn headers_that_change_the_method_are_seen_in_any_spelling() {
        for name in ["X-HTTP-Method-Override", "x_http_method_override", "X-Http-Method"] {
            let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
            let headers = HeaderMap::from_iter([(name, http::HeaderValue::from_static("POST"))]);
            assert!(method_override(&headers).is_some(), "{headers:?}");
        }
        let headers = HeaderMap::from_iter([(http::header::ACCEPT, http::HeaderValue::from_static("x"))]);
        assert_eq!(method_override(&headers), None);
    }

    proptest! {
        #[test]
        fn any_path_and_pattern_are_taken_without_a_panic(
            path: String, near in "[/a-z0-9:%.]{0,30}", pattern in "[/a-z{}*:]{0,20}",
        ) {
            let table = table();
            table.find("POST", &path);
            table.find("POST", &near);
            if let Ok(table) = EndpointTable::new(&[endpoint("e", "GET", &pattern)]) {
                table.find("GET", &near);
            }
        }

        #[test]
        fn a_pattern_takes_what_it_is_filled_with(model in "[a-zA-Z0-9._:-]{1,20}", version in "v1[a-z]{0,4}") {
            let table = table();
            let found = table.find("POST", &format!("/{version}/models/{model}:generateContent")).unwrap();
            prop_assert_eq!(found.model(), Some(model.as_str()));
            prop_assert_eq!(found.parameter("version"), Some(version.as_str()));
        }
    }
}
