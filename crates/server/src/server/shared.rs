//! What the doors of one server share ([`Shared`]), and the context that each of them is given.
//!
//! Opens nothing and listens nowhere: `server` does, and hands in what it opened.

use std::sync::Arc;
use std::time::Duration;

use query::Settings;
use query::memory::Spill;
use storage::env::Env;
use storage::{Database, Engine};
use tokio::runtime::Handle;

use crate::config::{self, Config, HttpConfig, PgConfig};
use crate::copy::Files;
use crate::http::{ErrorIds, HttpContext, Load};
use crate::ilp_tcp::{IlpTcpConfig, IlpTcpContext, Keys};
use crate::ilp_write::Making;
use crate::live::{Live, Now, Places};
use crate::memory::Budget;
use crate::metrics::Metrics;
use crate::pg::{self, PgContext};
use crate::reload::Reloader;
use crate::start::Warning;
use crate::watch::Watch;

/// How long a stop waits for the statements of PostgreSQL clients.
const STOP_GRACE: Duration = Duration::from_secs(1);

/// What the listeners of one server have in common.
pub struct Shared {
    database: Arc<Database>,
    env: Env,
    settings: Arc<Settings>,
    /// What a reload may change, and who does it.
    live: Arc<Live>,
    pub reloader: Arc<Reloader>,
    pub watch: Arc<Watch>,
    /// Where statements run.
    statements: Handle,
    making: Arc<Making>,
    /// Memory that the bytes of all writers share.
    bytes: Budget,
}

impl Shared {
    /// Puts it together for a root that is open.
    pub fn new(
        config: &Config,
        env: Env,
        engine: &Engine,
        statements: &Handle,
        memory: types::memory::Budget,
        spill: Spill,
    ) -> Shared {
        let database = engine.database().clone();
        let live = Live::new(Now::of(config));
        let watch = Arc::new(Watch {
            database: database.clone(),
            troubles: engine.troubles(),
            metrics: Metrics::new(&env),
            shows_metrics: config.metrics,
            http: Places::default(),
            pg: Places::default(),
            ilp_tcp: Places::default(),
            memory: memory.clone(),
            root: config.root.clone(),
            env: env.clone(),
        });
        let mut settings = settings(config, env.clone(), memory.clone(), spill);
        let reloader = Arc::new(Reloader::new(config, env.clone(), live.clone(), settings.parameters.clone()));
        let asked = reloader.clone();
        settings.reload = Some(Arc::new(move || asked.reload()));
        let copies = Files::new(database.clone(), env.clone(), config.copy_root.clone(), statements.clone());
        settings.copies = Some(Arc::new(copies));
        Shared {
            database,
            env,
            settings: Arc::new(settings),
            live,
            reloader,
            watch,
            statements: statements.clone(),
            making: Arc::default(),
            bytes: Budget::of(memory),
        }
    }

    /// Returns what the door of HTTP works with.
    pub fn http(&self, config: &Config, http: HttpConfig, warnings: Vec<Warning>) -> HttpContext {
        HttpContext {
            public: config.root.join(&http.public_directory),
            config: http,
            watch: self.watch.clone(),
            live: self.live.clone(),
            places: self.watch.http.clone(),
            query_timeout: config.query_timeout,
            view_age: config.view_age,
            database: self.database.clone(),
            settings: self.settings.clone(),
            errors: ErrorIds::new(&self.env),
            env: self.env.clone(),
            warnings,
            statements: self.statements.clone(),
            load: Load::new(self.making.clone(), self.bytes.clone()),
            ilp_tcp: config.ilp_tcp.is_some(),
        }
    }

    /// Returns what the door of PostgreSQL's protocol works with.
    pub fn pg(&self, config: &Config, pg: &PgConfig) -> PgContext {
        PgContext {
            database: self.database.clone(),
            settings: self.settings.clone(),
            live: self.live.clone(),
            places: self.watch.pg.clone(),
            counts: Some(self.watch.metrics.pg.clone()),
            limits: pg::Limits {
                idle: pg.idle,
                statements: pg.statements,
                statement: config.query_timeout,
                view_age: config.view_age,
                shutdown_grace: STOP_GRACE,
                ..pg::Limits::default()
            },
            statements: self.statements.clone(),
        }
    }

    /// Returns what the door of line protocol over TCP works with.
    pub fn ilp_tcp(&self, config: IlpTcpConfig, keys: Option<Keys>) -> IlpTcpContext {
        IlpTcpContext {
            database: self.database.clone(),
            env: self.env.clone(),
            config,
            keys,
            places: self.watch.ilp_tcp.clone(),
            making: self.making.clone(),
            bytes: self.bytes.clone(),
        }
    }
}

fn settings(config: &Config, env: Env, memory: types::memory::Budget, spill: Spill) -> Settings {
    let mut settings = Settings::new(env);
    settings.memory = memory;
    settings.spill = spill;
    if let Some(pg) = &config.pg {
        settings.user = pg.users[0].credentials.user.clone();
    }
    settings.parameters.set(config.parameters.iter().map(shown).collect());
    settings
}

/// Returns a parameter as SHOW PARAMETERS lists it.
pub(crate) fn shown(parameter: &config::Parameter) -> query::Parameter {
    query::Parameter {
        path: parameter.name.to_owned(),
        env_var: parameter.env_name.clone(),
        value: parameter.value.clone(),
        source: parameter.source.to_owned(),
        sensitive: parameter.secret,
        reloadable: parameter.reloadable,
    }
}
