//! Sources, complaints and the rule about addresses off loopback.

use storage::CommitMode;

use super::*;

fn load(file: &str, env: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let env = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    Config::load(PathBuf::from("/root"), file, env, &secret)
}

/// Two files of secrets, and none else.
fn secret(path: &str) -> Result<String, String> {
    match path {
        "/run/pg" => Ok("from a file\n".to_owned()),
        "/run/http" => Ok("another".to_owned()),
        _ => Err(format!("cannot read {path}")),
    }
}

fn refused(file: &str, env: &[(&str, &str)], parts: &[&str]) {
    let error = load(file, env).map(|_| ()).unwrap_err().0;
    for part in parts {
        assert!(error.contains(part), "{error:?} lacks {part:?}");
    }
}

#[test]
fn defaults_stay_on_loopback() {
    let config = load("", &[]).unwrap();
    let http = config.http.unwrap();
    assert_eq!(http.bind, "127.0.0.1:9000".parse().unwrap());
    assert_eq!(http.credentials, None);
    assert_eq!(config.pg.unwrap().bind, "127.0.0.1:8812".parse().unwrap());
    assert_eq!(config.health, "127.0.0.1:9003".parse().ok());
    assert_eq!(config.storage.commit_mode, CommitMode::Sync);
    assert_eq!(config.query_timeout, Some(Duration::from_secs(60)));
    assert_eq!(config.warnings, [] as [&str; 0]);
}

#[test]
fn the_environment_wins_over_the_file() {
    let config = load("pg.user=file\npg.password=p\n", &[("QDB_PG_USER", "env"), ("HOME", "/x")]).unwrap();
    let pg = config.pg.unwrap();
    assert_eq!(pg.users, [user("env", "p", false)]);
    let shown: Vec<_> = config.parameters.iter().filter(|p| p.name == "pg.user" || p.name == "pg.password").collect();
    assert_eq!((shown[0].value.as_str(), shown[0].source), ("****", "conf"));
    assert_eq!((shown[1].value.as_str(), shown[1].source), ("env", "env"));
}

#[test]
fn both_spellings_of_an_address_work() {
    let http = |file: &str, env: &[(&str, &str)]| load(file, env).unwrap().http.unwrap().bind.port();
    assert_eq!(http("http.bind.to=127.0.0.1:1\n", &[]), 1);
    assert_eq!(http("http.net.bind.to=127.0.0.1:2\nhttp.bind.to=127.0.0.1:1\n", &[]), 2);
    assert_eq!(http("http.net.bind.to=127.0.0.1:2\n", &[("QDB_HTTP_BIND_TO", "127.0.0.1:3")]), 3);
    assert_eq!(http("", &[("QDB_HTTP_NET_BIND_TO", "127.0.0.1:4")]), 4);
    let health = |env: &[(&str, &str)]| load("", env).unwrap().health.unwrap().port();
    assert_eq!(health(&[("QDB_HTTP_MIN_BIND_TO", "127.0.0.1:5")]), 5);
    assert_eq!(health(&[("QDB_HTTP_MIN_NET_BIND_TO", "127.0.0.1:6")]), 6);
}

#[test]
fn unknown_keys_are_warned_of_with_line_and_nearest_key() {
    let config = load("# x\n\npg.pasword=x\n", &[("QDB_HTTP_USR", "x"), ("QDB_LOG_W_STDOUT_LEVEL", "INFO")]).unwrap();
    assert_eq!(
        config.warnings,
        [
            "server.conf line 3: unknown key pg.pasword; did you mean pg.password?",
            "environment variable QDB_HTTP_USR belongs to no key; did you mean QDB_HTTP_USER?",
        ]
    );
}

#[test]
fn keys_without_effect_are_named_in_one_line() {
    let config = load("shared.query.worker.count=4\ncairo.sql.jit.mode=off\n", &[]).unwrap();
    assert_eq!(config.warnings, [] as [&str; 0]);
    let line = "accepted without effect: cairo.sql.jit.mode, shared.query.worker.count";
    assert_eq!(config.without_effect.as_deref(), Some(line));
    assert_eq!(load("pg.user=x\npg.password=y", &[]).unwrap().without_effect, None);
}

#[test]
fn a_start_restores_unless_the_older_of_two_keys_or_else_the_newer_says_no() {
    let restores = |text: &str| load(text, &[]).unwrap().storage.restores;
    assert!(restores(""));
    assert!(!restores("cairo.checkpoint.recovery.enabled=false"));
    assert!(!restores("cairo.snapshot.recovery.enabled=false"));
    assert!(restores("cairo.checkpoint.recovery.enabled=false\ncairo.snapshot.recovery.enabled=true"));
    assert!(!restores("cairo.checkpoint.recovery.enabled=true\ncairo.snapshot.recovery.enabled=false"));
    assert_eq!(load("cairo.snapshot.instance.id= b ", &[]).unwrap().storage.instance_id, "b");
    assert!(load(&format!("cairo.snapshot.instance.id={}", "x".repeat(256)), &[]).is_err());
}

#[test]
fn the_keys_that_work_are_those_that_are_read() {
    let everything =
        "pg.readonly.user.enabled=true\nram.usage.limit.bytes=0\nram.usage.limit.percent=50\nquery.timeout=1s\nx=y\n";
    let properties = Properties::load(everything, [], &secret).unwrap();
    Config::from_properties(PathBuf::from("/root"), &properties).unwrap();
    let work: Vec<&str> = keys::ALL.iter().filter(|key| key.effect.is_some()).map(|key| key.name).collect();
    assert_eq!(properties.asked().into_iter().collect::<Vec<_>>(), work);
}

#[test]
fn strict_validation_refuses_unknown_keys() {
    let file = "config.validation.strict=true\npg.pasword=x\n";
    refused(file, &[], &["server.conf line 2", "pg.pasword", "pg.password", "config.validation.strict=false"]);
    refused("config.validation.strict=true", &[("QDB_HTTP_USR", "x")], &["QDB_HTTP_USR", "QDB_HTTP_USER"]);
    assert!(load("config.validation.strict=true\ncairo.sql.jit.mode=off", &[]).is_ok(), "known keys are fine");
}

#[test]
fn all_unfit_values_are_refused_at_once() {
    let file = "pg.enabled=maybe\nstorage.flush.bytes=64q\nquery.timeout=soon";
    refused(file, &[], &["line 1", "pg.enabled", "line 2", "64q", "512k", "line 3", "60s"]);
    refused("storage.flush.bytes=0", &[], &["line 1", "storage.flush.bytes", "above 0"]);
    refused("memory.limit=much", &[], &["line 1", "memory.limit", "512k"]);
    refused("cairo.root=/mnt/db", &[], &["cairo.root", "-d ROOT"]);
    assert!(load("cairo.root=/root/db", &[]).is_ok());
}

#[test]
fn secrets_may_stand_in_files() {
    let users = |file: &str, env: &[(&str, &str)]| load(file, env).unwrap().pg.unwrap().users;
    assert_eq!(users("pg.password=x\npg.password.file=/run/pg", &[]), [user("admin", "from a file", false)]);
    assert_eq!(users("", &[("QDB_PG_PASSWORD_FILE", "/run/pg")]), [user("admin", "from a file", false)]);
    let config = load("http.user=u\nhttp.password.file=/run/http", &[]).unwrap();
    let shown = config.parameters.iter().find(|p| p.name == "http.password").unwrap();
    assert_eq!((shown.value.as_str(), shown.source), ("****", "file"));
    refused("pg.password.file=/nowhere", &[], &["pg.password.file", "/nowhere"]);
    assert_eq!(load("pg.user.file=/run/pg", &[]).unwrap().warnings.len(), 1, "a name is no secret");
}

#[test]
fn a_second_user_may_only_read() {
    let users = |file: &str| load(file, &[]).unwrap().pg.unwrap().users;
    let both = users("pg.readonly.user.enabled=true\npg.readonly.user=joe\npg.readonly.password=x");
    assert_eq!(both, [user("admin", "quest", false), user("joe", "x", true)]);
    assert_eq!(users("readonly=true"), [user("admin", "quest", true)]);
    assert!(load("readonly=true", &[]).unwrap().http.unwrap().read_only);
    refused("pg.readonly.user.enabled=true\npg.readonly.user=admin", &[], &["pg.readonly.user", "pg.user"]);
    let open = "pg.net.bind.to=0.0.0.0:1\npg.password=own\npg.readonly.user.enabled=true";
    refused(open, &[], &["pg.readonly.password", "read-only user"]);
}

#[test]
fn a_check_goes_on_where_a_start_ends() {
    let found = check::check(PathBuf::from("/root"), "pg.usr=x\npg.enabled=maybe\ndev.mode.enabled=true", [], &secret);
    assert_eq!((found.refusals.len(), found.warnings.len(), found.advice.len()), (1, 1, 1), "{found:?}");
}

fn user(name: &str, password: &str, read_only: bool) -> PgUser {
    PgUser { credentials: Credentials { user: name.to_owned(), password: password.to_owned() }, read_only }
}

#[test]
fn values_that_cannot_be_used_are_refused_with_their_place() {
    refused("\npg.enabled=maybe\n", &[], &["server.conf line 2", "pg.enabled", "\"maybe\"", "true or false"]);
    refused("", &[("QDB_QUERY_TIMEOUT", "soon")], &["QDB_QUERY_TIMEOUT", "query.timeout", "soon"]);
    refused("http.bind.to=9000", &[], &["line 1", "http.bind.to", "host:port"]);
    refused("cairo.commit.mode=later", &[], &["sync, async or nosync"]);
    refused("http.user=u", &[], &["http.password", "both or none"]);
    refused("line.default.partition.by=CENTURY", &[], &["line.default.partition.by", "CENTURY"]);
}

#[test]
fn off_loopback_needs_credentials_of_ones_own() {
    refused("", &[("QDB_HTTP_BIND_TO", "0.0.0.0:9000")], &["http.user", "http.password", "QDB_HTTP_PASSWORD"]);
    refused("pg.net.bind.to=0.0.0.0:8812", &[], &["pg.user", "pg.password", "/root/conf/server.conf"]);
    refused("pg.net.bind.to=0.0.0.0:8812\npg.user=admin\npg.password=quest", &[], &["pg.password"]);
    refused(
        "http.bind.to=0.0.0.0:1\npg.net.bind.to=0.0.0.0:2\n",
        &[],
        &["HTTP on 0.0.0.0:1", "PostgreSQL on 0.0.0.0:2"],
    );
    let own = "http.bind.to=0.0.0.0:9000\nhttp.user=u\nhttp.password=p\npg.net.bind.to=0.0.0.0:8812\npg.password=own";
    assert!(load(own, &[]).is_ok());
    assert!(load("http.min.net.bind.to=0.0.0.0:9003", &[]).is_ok(), "a health check gives nothing away");
}

#[test]
fn what_is_switched_off_is_not_checked() {
    let config = load("http.enabled=false\nhttp.bind.to=0.0.0.0:9000\npg.enabled=FALSE\nhttp.min.enabled=false\n", &[]);
    let config = config.unwrap();
    assert!(config.http.is_none() && config.pg.is_none() && config.health.is_none());
}

#[test]
fn the_older_key_of_the_query_timeout_counts_alone() {
    let timeout = |file: &str| load(file, &[]).unwrap().query_timeout;
    assert_eq!(timeout("query.timeout.sec=5"), Some(Duration::from_secs(5)));
    assert_eq!(timeout("query.timeout.sec=5\nquery.timeout=7s"), Some(Duration::from_secs(7)));
    assert_eq!(timeout("query.timeout=0"), None);
}
