//! The `server.conf` of a first start: every key that the server acts on, commented out, with what it does.

/// Returns the file's text.
pub fn server_conf() -> String {
    let mut text = String::from(HEAD);
    for (title, keys) in SECTIONS {
        text.push_str(&format!("\n# {title}\n"));
        for (key, what) in *keys {
            let default = super::keys::find(key).map_or("", |k| k.default);
            text.push_str(&format!("\n# {what}\n#{key}={default}\n"));
        }
    }
    text
}

const HEAD: &str = "\
# Configuration of Stillpoint. A line that begins with # is a comment: take the # away to change a value, then
# restart the server. Each key can also be set in the environment, which wins: pg.user is QDB_PG_USER there.
# A password may stand in a file of its own: pg.password.file=/run/secrets/pg, or QDB_PG_PASSWORD_FILE.
# Sizes take k, m, g (64m); times take ms, s, m, h (60s), milliseconds without.
# Keys of QuestDB that are not listed here are accepted and have no effect; the start names those that were set.
";

type Section = (&'static str, &'static [(&'static str, &'static str)]);

const SECTIONS: &[Section] = &[
    (
        "The server",
        &[
            ("config.validation.strict", "Whether a key that nobody knows refuses the start; else it is a warning."),
            ("config.reload.enabled", "Whether reload_config() and SIGHUP take over what changed in this file."),
            ("readonly", "Whether nothing can be changed through any door."),
            ("cairo.root", "The folder of the database; only db, below the root, is possible."),
        ],
    ),
    (
        "HTTP: queries, InfluxDB line protocol, web page",
        &[
            ("http.enabled", "Whether to listen for HTTP at all."),
            (
                "http.net.bind.to",
                "Where to listen (http.bind.to is the same). 0.0.0.0:9000 lets other machines in: http.user is needed then.",
            ),
            (
                "http.user",
                "With user and password set, every request but /settings and /ping needs basic authentication.",
            ),
            ("http.password", "See http.user."),
            ("http.security.readonly", "Whether statements and lines by HTTP may change nothing."),
            ("http.net.connection.limit", "Connections at a time; further ones are answered 503."),
            ("http.net.connection.timeout", "How long a connection may stand without a request."),
            ("http.static.public.directory", "Folder below the root whose files are served at /."),
            ("http.static.index.file.name", "What is served for / itself."),
            ("line.http.enabled", "Whether /write and /api/v2/write take rows."),
            ("line.auto.create.new.tables", "Whether a line for a table that does not exist makes it."),
            ("line.auto.create.new.columns", "Whether a field that a table lacks makes a column."),
            ("line.default.partition.by", "NONE, HOUR, DAY, WEEK, MONTH or YEAR, for tables made so."),
            ("line.string.default.column.type", "VARCHAR or STRING, for columns made by a quoted text."),
            ("line.float.default.column.type", "DOUBLE or FLOAT, for columns made by a number."),
            ("line.integer.default.column.type", "LONG, INT, SHORT or BYTE, for columns made by an integer."),
            ("line.timestamp.default.column.type", "TIMESTAMP or TIMESTAMP_NS, for the timestamp of tables made so."),
            ("line.http.max.recv.buffer.size", "Largest body of one request, inflated; more is answered 413."),
        ],
    ),
    (
        "InfluxDB line protocol over TCP",
        &[
            ("line.tcp.enabled", "Whether to listen for lines over TCP. Nothing is answered there: prefer /write."),
            (
                "line.tcp.net.bind.to",
                "Where to listen. 0.0.0.0:9009 lets other machines in: line.tcp.auth.db.path is needed then.",
            ),
            (
                "line.tcp.auth.db.path",
                "File below the root with the public keys of those who may write: name ec-p-256-sha256 X Y a line.",
            ),
            ("line.tcp.net.connection.limit", "Connections at a time; further ones are closed."),
            ("line.tcp.net.connection.timeout", "How long a client may be silent; 0 is for ever."),
            ("line.tcp.timestamp", "Unit of timestamps without a suffix: n, u, ms, s, m or h."),
            (
                "line.tcp.commit.interval.default",
                "With the fraction below: the longest time a row waits for its commit.",
            ),
            ("line.tcp.commit.interval.fraction", "See line.tcp.commit.interval.default."),
            (
                "line.tcp.disconnect.on.error",
                "A line that cannot be taken ends its connection; else it is passed over.",
            ),
            ("line.tcp.max.recv.buffer.size", "Longest line."),
        ],
    ),
    (
        "PostgreSQL wire protocol",
        &[
            ("pg.enabled", "Whether to listen for PostgreSQL clients."),
            (
                "pg.net.bind.to",
                "Where to listen. 0.0.0.0:8812 lets other machines in: a pg.password of your own is needed then.",
            ),
            ("pg.user", "Name of the user that may do everything."),
            ("pg.password", "The user's password."),
            ("pg.readonly.user.enabled", "Whether there is a second user, who may only read."),
            ("pg.readonly.user", "Name of the user that may only read."),
            ("pg.readonly.password", "That user's password."),
            ("pg.security.readonly", "Whether nobody may change anything by this protocol."),
            ("pg.net.connection.limit", "Connections at a time."),
            ("pg.net.connection.timeout", "How long a connection may stand without a statement."),
            ("pg.named.statement.limit", "Prepared statements of one connection."),
        ],
    ),
    (
        "Text log below ROOT/log",
        &[
            ("log.level", "ERROR, WARN, INFO, DEBUG or TRACE."),
            ("log.roll.bytes", "A larger file is left and another one begun; so it is each day and each start."),
            ("log.keep.time", "Older files are removed, though never while a snapshot is open; 0 keeps them."),
            ("log.keep.bytes", "The oldest files go when all together are larger; 0 keeps them."),
        ],
    ),
    (
        "Health check and metrics",
        &[
            ("metrics.enabled", "Whether /metrics is answered, on the port of the health check and on that of HTTP."),
            ("http.min.enabled", "Whether to answer health checks on a port of their own."),
            ("http.min.net.bind.to", "Where to listen (http.min.bind.to is the same)."),
        ],
    ),
    (
        "Storage and queries",
        &[
            (
                "cairo.commit.mode",
                "sync: a commit is acknowledged when it is on disk. async, nosync: when the operating system has it, so that a\n\
                 # power cut (not a crash of the server) may lose the last commits: with async those of the last moments,\n\
                 # with nosync at most 16 MB.",
            ),
            ("query.timeout", "Longest run of one statement; 0 for no limit."),
            ("query.timeout.sec", "The same in seconds; query.timeout counts where both are set."),
            (
                "memory.limit",
                "Memory for statements, rows that are not in segments yet and requests, together. Empty: half of the machine's,\n\
                 # or of what the cgroup allows.",
            ),
            ("ram.usage.limit.bytes", "The same, if memory.limit is empty; 0 for a share of the machine's memory."),
            ("ram.usage.limit.percent", "That share; 50 unless it is set."),
            (
                "spill.dir",
                "Where statements write what does not fit, outside the root. Empty: the system's temporary folder.",
            ),
            ("spill.limit", "Most that all statements together may write there."),
            ("view.age.max", "How long rows may wait for a client that does not fetch them."),
            ("cairo.sql.copy.root", "Folder (below the root, or anywhere) whose files COPY may read; empty: none."),
            ("storage.flush.bytes", "A table whose rows hold more memory is written to its partitions."),
            ("storage.base.bytes", "Bytes of log after which a new starting point for recovery is written."),
            ("storage.log.files", "Log files at which tables are flushed, whatever their size."),
            (
                "cairo.snapshot.instance.id",
                "What this server is called. A copy of the root that lies elsewhere and is started under another name restores the \
                 snapshot that was open when it was copied. Empty: never.",
            ),
            (
                "cairo.snapshot.recovery.enabled",
                "Whether a start restores when _restore or a changed instance id asks for it. It counts where both are set.",
            ),
            ("cairo.checkpoint.recovery.enabled", "The same, under its newer name."),
            ("restore.grace", "How long what a restore leaves behind stays, so that it can be undone."),
            (
                "drop.grace",
                "How long UNDROP TABLE brings a dropped table back; its files take space meanwhile. 0: gone at once.",
            ),
            ("snapshot.lease", "How long a snapshot stays open when SNAPSHOT PREPARE does not say; 0 for no end."),
            (
                "snapshot.warn.share",
                "Percent of the disk that snapshots may hold before there is a warning; 0 for none.",
            ),
            ("snapshot.shed.free", "Percent of the disk below whose being free expired snapshots go; 0 for never."),
            ("snapshot.syncfs", "Whether each SNAPSHOT PREPARE syncs the whole file system, as with SYNC at its end."),
            (
                "log.retention",
                "How far back every moment can be restored (RESTORE TABLE … TO TIMESTAMP), such as 7d; 0: not at all.",
            ),
            ("log.retention.bytes", "Bytes of disk at which the oldest of these moments are given up; 0: no limit."),
        ],
    ),
];

#[cfg(test)]
mod tests {
    use crate::config::{file, keys};

    #[test]
    fn the_template_changes_nothing_and_knows_its_keys() {
        let text = super::server_conf();
        assert_eq!(file::read(&text), []);
        let uncommented: String = text
            .lines()
            .filter_map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')))
            .map(|line| format!("{line}\n"))
            .collect();
        let settings = file::read(&uncommented);
        let listed: std::collections::BTreeSet<&str> = settings.iter().map(|s| s.key.as_str()).collect();
        for key in keys::ALL.iter().filter(|key| key.effect.is_some()) {
            let other = keys::ALL.iter().any(|k| keys::other_spelling(k.name) == Some(key.name));
            assert!(other || listed.contains(key.name), "{} works, the template does not say so", key.name);
        }
        for setting in settings {
            let key = keys::find(&setting.key).unwrap_or_else(|| panic!("{}", setting.key));
            assert_eq!(setting.value, key.default, "{}", setting.key);
        }
    }
}
