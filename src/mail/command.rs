//! `mainstay mail`.

use std::{fs, path::PathBuf, process::ExitCode};

use clap::Parser;
use mainstay_kernel::{
    clock::Clock,
    command::{Command, Program, for_operator, print},
    config::Config,
    contribution::Contributions,
};
use serde_json::json;

use crate::{
    identity::user::model::Language,
    mail::{config::MailConfig, id::MailId, open_templates, ops, suppression::ops as suppression},
};

/// The maximum number of mails or addresses that one command lists.
const MAX_LISTED: i64 = 500;

/// Preview mail, retry failed mail, and manage suppressed addresses.
#[derive(Debug, Parser)]
pub(crate) enum Mail {
    /// Render every mail in every language with sample data, and report all template errors.
    Preview(Preview),
    /// List failed mail, newest first, one JSON object per line; at most 500.
    Failed,
    /// Retry failed mail.
    Redrive {
        /// The ids of the mails, as listed.
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
    },
    /// List suppressed addresses, newest first, one JSON object per line; at most 500.
    Suppressions,
    /// Remove an address from the suppression list.
    Unsuppress {
        /// The address, as listed.
        address: String,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct Preview {
    /// Render only this mail, such as order_confirmation.
    name: Option<String>,
    /// Render only this language.
    #[arg(long)]
    language: Option<String>,
    /// The output directory, for files NAME.LANGUAGE.html and NAME.LANGUAGE.txt. By default, print the plain text.
    #[arg(long, value_name = "DIRECTORY")]
    out: Option<PathBuf>,
}

impl Command for Mail {
    const NAME: &'static str = "mail";

    async fn run(self, program: &mut dyn Program) -> anyhow::Result<ExitCode> {
        if let Self::Preview(preview) = self {
            preview.run(program.contributions(), &program.config()?)?;
            return Ok(ExitCode::SUCCESS);
        }
        let app = program.open().await?;
        let database = &app.database;
        match self {
            Self::Preview(_) => {}
            Self::Failed => {
                let failed =
                    database.autocommit(async |connection| ops::list_failed(connection, MAX_LISTED).await).await;
                for mail in for_operator(failed)? {
                    let line = json!({
                        "id": mail.id, "kind": mail.topic.kind, "attempts": mail.attempts,
                        "failure": mail.failure, "createTime": mail.created_at, "failTime": mail.finished_at,
                    });
                    print(&format!("{line}\n"))?;
                }
            }
            Self::Redrive { ids } => {
                let ids = ids.iter().map(|id| MailId::parse(id)).collect::<mainstay_kernel::error::Result<Vec<_>>>();
                let redriven = for_operator(ops::redrive(&app, for_operator(ids)?).await)?;
                print(&format!("{redriven} mails are sent again\n"))?;
            }
            Self::Suppressions => {
                let all = database.autocommit(async |connection| suppression::list(connection, MAX_LISTED).await).await;
                for one in for_operator(all)? {
                    let reason = one.reason.name();
                    let line = json!({ "address": one.address, "reason": reason, "createTime": one.created_at });
                    print(&format!("{line}\n"))?;
                }
            }
            Self::Unsuppress { address } => {
                let remove = async move |connection: &mut _| suppression::remove(connection, &address).await;
                let was_listed = for_operator(database.autocommit(remove).await)?;
                print(if was_listed {
                    "Mail to the address is sent again.\n"
                } else {
                    "The address was not listed.\n"
                })?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Preview {
    fn run(self, contributions: &Contributions, config: &Config) -> anyhow::Result<()> {
        let Self { name, language, out } = self;
        let mail = config.section::<MailConfig>();
        let (templates, now) = (open_templates(contributions, mail)?, Clock::default().now());
        let languages = language.map_or_else(|| templates.languages().map(str::to_owned).collect(), |tag| vec![tag]);
        let names = templates.names().into_iter().filter(|other| name.as_ref().is_none_or(|name| name == other));
        let names: Vec<_> = names.collect();
        anyhow::ensure!(!names.is_empty(), "there is no such mail; there are {}", templates.names().join(", "));
        for name in names {
            for tag in &languages {
                let language = Language::parse(tag).ok();
                let rendered = language.and_then(|tag| templates.preview(name, &mail.brand, &tag, now));
                let rendered = rendered.ok_or_else(|| anyhow::anyhow!("{tag} is not a language tag"))?;
                match &out {
                    None => print(&format!("Subject: {}\n\n{}\n", rendered.subject, rendered.text))?,
                    Some(directory) => {
                        fs::create_dir_all(directory)?;
                        fs::write(directory.join(format!("{name}.{tag}.html")), rendered.html)?;
                        fs::write(directory.join(format!("{name}.{tag}.txt")), rendered.text)?;
                    }
                }
            }
        }
        Ok(())
    }
}
