//! What stands on the command line: [`Arguments`].

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// What stands on the command line.
#[derive(Debug, Parser)]
#[command(
    name = "stillpoint",
    version,
    disable_version_flag = true,
    about = "A time-series SQL database: InfluxDB line protocol and SQL over HTTP, PostgreSQL wire protocol.",
    after_help = "Without a command the server runs in the foreground until SIGTERM or SIGINT; SIGHUP reloads its configuration.\n\
        Keys of ROOT/conf/server.conf can be set in the environment: pg.user is QDB_PG_USER.\n\
        Exit codes: 0 after a clean stop, 1 after one that was not, 55 when the start was refused."
)]
pub struct Arguments {
    #[command(subcommand)]
    pub verb: Option<Verb>,
    /// Root directory; made if it does not exist
    #[arg(short = 'd', long = "root", value_name = "ROOT", env = "QDB_ROOT", global = true)]
    pub root: Option<PathBuf>,
    /// Look through the configuration and start nothing: exit code 1 if a start would be refused or a key is unknown
    #[arg(long)]
    pub check_config: bool,
    /// Say why a start, a check or a copy was refused as one JSON object in one line of stderr; what is answered is JSON too
    #[arg(long, global = true)]
    pub json: bool,
    /// Accepted for scripts written for QuestDB; a hang-up never stops this server
    #[arg(short = 'n', hide = true, global = true)]
    no_hangup: bool,
    /// Accepted for scripts written for QuestDB; the root alone tells servers apart
    #[arg(short = 't', hide = true, global = true, value_name = "TAG")]
    tag: Option<String>,
    /// Print the version
    #[arg(short = 'v', short_alias = 'V', long, action = clap::ArgAction::Version)]
    version: (),
}

/// What to do instead of running a server in the foreground.
#[derive(Debug, Clone, Subcommand)]
pub enum Verb {
    /// Start a server in the background and wait until it serves clients
    Start,
    /// Stop the server of the root and wait until it has ended
    Stop,
    /// Say whether a server runs on the root: exit code 0 if so, else 1
    Status,
    /// Read every byte of a copy's snapshots and say whether they are whole: exit code 0 if so, else 55; changes nothing
    Verify {
        /// The copy of a root
        #[arg(value_name = "DIR")]
        copy: PathBuf,
        /// The snapshot to look at; without it all of them
        #[arg(long, value_name = "NAME")]
        snapshot: Option<String>,
    },
    /// Bring a snapshot of a copy back into a root that no server uses: exit code 0 when a start serves it, 55 when it is refused and
    /// nothing was changed, 1 when the disk is full; run it again when it was killed, it goes on
    Restore(crate::restore::RestoreArguments),
    /// Copy snapshots
    Snapshot {
        #[command(subcommand)]
        verb: crate::snapshot::SnapshotVerb,
    },
    /// Bring the tables of a running QuestDB over, over its HTTP port
    Import(crate::migrate::ImportArguments),
}
