//! The process' environment. The only place that reads it.

/// Looks up a variable: [`variable`] in the program, a closure in tests.
pub type Env<'e> = &'e dyn Fn(&str) -> Option<String>;

/// The value of a variable; `None` when it is not set or not UTF-8.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
