//! Sources, complaints and the rule about addresses off loopback.

use super::*;

fn load(file: &str, env: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let env = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    Config::load(PathBuf::from("/root"), file, env)
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
    assert_eq!(config.commit_mode, CommitMode::Sync);
    assert_eq!(config.query_timeout, Some(Duration::from_secs(60)));
    assert_eq!(config.warnings, [] as [&str; 0]);
}

#[test]
fn the_environment_wins_over_the_file() {
    let config = load("pg.user=file\npg.password=p\n", &[("QDB_PG_USER", "env"), ("HOME", "/x")]).unwrap();
    let pg = config.pg.unwrap();
    assert_eq!((pg.credentials.user.as_str(), pg.credentials.password.as_str()), ("env", "p"));
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
fn known_keys_without_effect_are_silent() {
    let config = load("cairo.sql.jit.mode=off\nshared.query.worker.count=4\n", &[]).unwrap();
    assert_eq!(config.warnings, [] as [&str; 0]);
}

#[test]
fn values_that_cannot_be_used_are_refused_with_their_place() {
    refused("\npg.enabled=maybe\n", &[], &["server.conf line 2", "pg.enabled", "\"maybe\"", "true or false"]);
    refused("", &[("QDB_QUERY_TIMEOUT", "soon")], &["QDB_QUERY_TIMEOUT", "query.timeout", "soon"]);
    refused("http.bind.to=9000", &[], &["line 1", "http.bind.to", "host:port"]);
    refused("cairo.commit.mode=async", &[], &["sync or nosync"]);
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
