//! `mainstay users`.

mod import;
mod password;

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use mainstay_kernel::command::{Command, Program, for_operator, print};

use crate::identity::{second_factor::ops as second_factor, user::ops};
use password::Password;

/// Manage users.
#[derive(Debug, Parser)]
pub(crate) enum Users {
    /// Create an admin. The password is that of MAINSTAY_PASSWORD, --password-file or --password.
    CreateAdmin {
        /// The e-mail address to sign in with.
        email: String,
        /// The display name of the user.
        #[arg(long, default_value = "Admin")]
        name: String,
        #[command(flatten)]
        password: Password,
    },
    /// Make a user an active admin, when no admin can sign in. The user's sessions end.
    MakeAdmin {
        /// The e-mail address of the user.
        email: String,
    },
    /// Import customers of another program with their password hashes, from lines of JSON (NDJSON). A line has email and name,
    /// and may have language, isEmailConfirmed, passwordHash (only with isEmailConfirmed), accountId and accountRole. A user
    /// whose address exists is left as it is, so that a repetition is safe. Each line that is wrong is reported with its number,
    /// and the others are imported.
    Import {
        /// The file; `-` is the standard input.
        file: PathBuf,
    },
    /// Remove the second factor of a user who has lost it, at once. The user's sessions end.
    ResetSecondFactor {
        /// The e-mail address of the user.
        email: String,
    },
}

impl Command for Users {
    const NAME: &'static str = "users";

    async fn run(self, program: &mut dyn Program) -> anyhow::Result<ExitCode> {
        match self {
            Self::CreateAdmin { email, name, password } => {
                let password = password.read()?;
                let app = program.open().await?;
                let id = for_operator(ops::create_admin(&app, &email, &name, password).await)?;
                print(&format!("Created the admin {email} ({id}).\n"))?;
            }
            Self::MakeAdmin { email } => {
                let app = program.open().await?;
                let id = for_operator(ops::make_admin(&app, &email).await)?;
                print(&format!("{email} ({id}) is an admin now. The user's sessions have ended.\n"))?;
            }
            Self::Import { file } => {
                let app = program.open().await?;
                return import::run(&app, &file).await;
            }
            Self::ResetSecondFactor { email } => {
                let app = program.open().await?;
                let id = for_operator(second_factor::reset(&app, &email).await)?;
                print(&format!("{id} signs in without a second factor.\n"))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
