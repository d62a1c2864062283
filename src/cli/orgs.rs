//! `org …`: `create` and `list`; the others have files of their own.

use super::{
    budgets::{SetBudget, set_budget},
    ceilings::{SetCeiling, set_ceiling},
    error::CliError,
    limits::{SetLimits, set_limits},
    output::{PAGE, all, print_json, print_table},
    show::{OneOrganization, show_organization, switch},
};
use crate::{
    auth::{
        issue::{self, IssueError},
        port::{Organization, Page, Registry, RegistryError, StoreDown},
        view,
    },
    base::clock,
    budgets::port::BudgetStore,
};
use std::io::Write;

/// Organizations.
#[derive(Debug, clap::Subcommand)]
pub enum OrgCommand {
    /// Create an organization
    Create(Create),
    /// List all organizations
    List(List),
    /// Show all that is set of an organization
    Show(OneOrganization),
    /// Switch an organization off: none of its keys is taken any more
    Disable(OneOrganization),
    /// Switch an organization on again
    Enable(OneOrganization),
    /// Set, change or remove a budget of an organization, or of one of its keys or tags
    SetBudget(SetBudget),
    /// Replace the limits that all keys of an organization share; those that are not given are removed
    SetLimits(SetLimits),
    /// Replace the most that keys may get which the organization issues itself
    SetCeiling(SetCeiling),
}

/// `org create`.
#[derive(Debug, clap::Args)]
pub struct Create {
    /// Its name, unique whatever its case
    #[arg(long, value_name = "NAME")]
    name: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// `org list`.
#[derive(Debug, clap::Args)]
pub struct List {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs a command and prints what comes of it.
pub async fn run<S: Registry + BudgetStore>(
    command: OrgCommand,
    registry: &S,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    match command {
        OrgCommand::Show(asked) => show_organization(asked, registry, out).await,
        OrgCommand::Disable(asked) => switch(asked, false, registry, out).await,
        OrgCommand::Enable(asked) => switch(asked, true, registry, out).await,
        OrgCommand::SetBudget(budget) => set_budget(budget, registry, out).await,
        OrgCommand::SetCeiling(ceiling) => set_ceiling(ceiling, registry, out).await,
        OrgCommand::SetLimits(limits) => set_limits(limits, registry, out).await,
        OrgCommand::Create(Create { name, json }) => {
            let organization = issue::create_organization(registry, &name, clock::now()).await.map_err(told)?;
            print(std::slice::from_ref(&organization), json.then_some(Shape::One), out)
        }
        OrgCommand::List(List { json }) => {
            let page = async |last: Option<&Organization>| {
                let after = last.map(|organization| &organization.id);
                registry.organizations(Page { after, count_max: PAGE }).await
            };
            print(&all(page).await.map_err(store_down)?, json.then_some(Shape::Many), out)
        }
    }
}

/// Whether JSON is one object or an array.
#[derive(Clone, Copy)]
enum Shape {
    One,
    Many,
}

fn print(organizations: &[Organization], json: Option<Shape>, out: &mut dyn Write) -> Result<(), CliError> {
    let views: Vec<_> = organizations.iter().map(view::organization).collect();
    match (json, views.first()) {
        (Some(Shape::One), Some(view)) => print_json(view, out),
        (Some(_), _) => print_json(&views, out),
        (None, _) => {
            let rows = organizations.iter().map(|organization| {
                let Organization { id, name, created_at, .. } = organization;
                vec![id.to_string(), name.clone(), created_at.to_rfc3339()]
            });
            print_table(&["ID", "NAME", "CREATED"], &rows.collect::<Vec<_>>(), out)
        }
    }
}

/// A failure of the domain in the words of the command line.
pub(super) fn told(error: IssueError) -> CliError {
    match error {
        IssueError::Faulty(_) => CliError::Usage(error.to_string()),
        IssueError::Registry(RegistryError::Down(down)) => store_down(down),
        IssueError::Registry(_) | IssueError::Beyond(_) | IssueError::NoRandomness(_) => {
            CliError::Failed(error.to_string())
        }
    }
}

/// A store that does not answer, in the words of the command line.
#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err takes")]
pub(super) fn store_down(down: StoreDown) -> CliError {
    CliError::Failed(down.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{settings::Settings, sqlite::SqliteStore};
    use clap::Parser;

    #[derive(clap::Parser)]
    struct Line {
        #[command(subcommand)]
        command: OrgCommand,
    }

    struct Program {
        _folder: tempfile::TempDir,
        store: SqliteStore,
    }

    impl Program {
        async fn start() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let store = SqliteStore::open(&Settings { sqlite: folder.path().join("control.db") }).await.unwrap();
            Self { _folder: folder, store }
        }

        async fn run(&self, arguments: &[&str]) -> Result<String, CliError> {
            let line = Line::try_parse_from([&["org"], arguments].concat())
                .map_err(|error| CliError::Usage(error.to_string()))?;
            let mut out = Vec::new();
            run(line.command, &self.store, &mut out).await?;
            Ok(String::from_utf8(out).unwrap())
        }
    }

    #[tokio::test]
    async fn an_organization_is_created_and_listed() {
        let program = Program::start().await;
        let made: serde_json::Value =
            serde_json::from_str(&program.run(&["create", "--name", "acme", "--json"]).await.unwrap()).unwrap();
        assert_eq!(made["name"], "acme");
        let list = program.run(&["list"]).await.unwrap();
        assert!(list.starts_with("ID "), "{list}");
        assert!(list.contains(made["id"].as_str().unwrap()), "{list}");
        let list: serde_json::Value = serde_json::from_str(&program.run(&["list", "--json"]).await.unwrap()).unwrap();
        assert_eq!(list, serde_json::json!([made]));
    }

    #[tokio::test]
    async fn an_empty_list_is_an_empty_table_or_an_empty_array() {
        let program = Program::start().await;
        assert_eq!(program.run(&["list"]).await.unwrap(), "ID  NAME  CREATED\n");
        assert_eq!(program.run(&["list", "--json"]).await.unwrap(), "[]\n");
    }

    #[tokio::test]
    async fn a_taken_name_fails_and_a_bad_one_is_bad_usage() {
        let program = Program::start().await;
        program.run(&["create", "--name", "acme"]).await.unwrap();
        let cases = [("ACME", 1), ("", 2), ("a\tb", 2), (" a", 2), ("org_1", 2)];
        for (name, status) in cases {
            let error = program.run(&["create", "--name", name]).await.unwrap_err();
            assert_eq!(error.exit_status(), status, "{name:?}: {error}");
        }
        assert_eq!(program.run(&["create"]).await.unwrap_err().exit_status(), 2);
    }
}
