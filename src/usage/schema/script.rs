//! The whole schema as a text, for administrators who apply it themselves or want to read it first.

use super::{DATABASE, MIGRATIONS, MigrateError, Plan, SCHEMA_VERSION, hot_tags};
use crate::{base::clock::Timestamp, usage::settings::Settings};

/// The user for people and tools.
const ANALYST: &str = include_str!("../../../schema/analyst.sql");

/// Which text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Script {
    /// Everything that makes the tables of an empty store.
    Tables,
    /// The user that reads the views and nothing else.
    Analyst,
}

/// Statements that end with semicolons; for a cluster of that name, or for one server.
///
/// # Errors
/// A name in the settings is none.
pub fn script(settings: &Settings, cluster: Option<&str>, which: Script) -> Result<String, MigrateError> {
    let plan = Plan::of(settings, cluster)?;
    let mut statements = Vec::new();
    match which {
        Script::Analyst => statements.extend(plan.template.statements(ANALYST)),
        Script::Tables => {
            statements.extend([DATABASE, SCHEMA_VERSION].into_iter().flat_map(|text| plan.template.statements(text)));
            for (version, (name, text)) in (1_u32..).zip(MIGRATIONS) {
                statements.extend(plan.template.statements(text));
                statements.push(plan.applied(version, name));
            }
            for column in hot_tags::columns(&plan)? {
                statements.extend(plan.template.statements(&column.text));
            }
            statements.push(hot_tags::note(&plan, Timestamp::from_millis(0)));
        }
    }
    Ok(statements.iter().fold(String::new(), |text, statement| text + statement + ";\n\n"))
}
