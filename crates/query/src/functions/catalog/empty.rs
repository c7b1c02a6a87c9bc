//! Relations of `pg_catalog` that never have rows here: what they describe does not exist, but clients join them.

use super::super::table::rows::Column;
use crate::kind::Kind::{Boolean, Char, Int, Long, Short, String, Timestamp};

/// Returns the columns of a relation without rows; None if there is none of that name.
pub fn columns(relation: &str) -> Option<&'static [Column]> {
    Some(match relation {
        "pg_index" => INDEX,
        // No column has a default.
        "pg_attrdef" => &[("adrelid", Int), ("adnum", Short), ("adbin", String)],
        "pg_description" => &[("objoid", Int), ("classoid", Int), ("objsubid", Short), ("description", String)],
        "pg_shdescription" => &[("objoid", Int), ("classoid", Int), ("description", String)],
        "pg_inherits" => &[("inhrelid", Int), ("inhparent", Int), ("inhseqno", Int), ("inhdetachpending", Boolean)],
        "pg_locks" => LOCKS,
        "pg_proc" => &[
            ("oid", Int),
            ("proname", String),
            ("pronamespace", Int),
            ("proowner", Int),
            ("prokind", Char),
            ("prorettype", Int),
            ("proargtypes", String),
        ],
        "pg_constraint" => CONSTRAINT,
        "pg_am" => &[("oid", Int), ("amname", String), ("amhandler", Int), ("amtype", Char)],
        "pg_range" => &[
            ("rngtypid", Int),
            ("rngsubtype", Int),
            ("rngcollation", Int),
            ("rngsubopc", Int),
            ("rngcanonical", Int),
            ("rngsubdiff", Int),
        ],
        "pg_enum" => &[("oid", Int), ("enumtypid", Int), ("enumsortorder", Int), ("enumlabel", String)],
        "pg_collation" => &[("oid", Int), ("collname", String), ("collnamespace", Int)],
        "pg_policy" => POLICY,
        "pg_statistic_ext" => &[
            ("oid", Int),
            ("stxrelid", Int),
            ("stxname", String),
            ("stxnamespace", Int),
            ("stxkeys", String),
            ("stxkind", String),
        ],
        "pg_publication" => &[("oid", Int), ("pubname", String), ("puballtables", Boolean)],
        "pg_publication_rel" => &[("oid", Int), ("prpubid", Int), ("prrelid", Int)],
        "pg_trigger" => {
            &[("oid", Int), ("tgrelid", Int), ("tgname", String), ("tgenabled", Char), ("tgisinternal", Boolean)]
        }
        "pg_tablespace" => &[("oid", Int), ("spcname", String), ("spcowner", Int)],
        "pg_auth_members" => &[("roleid", Int), ("member", Int), ("grantor", Int), ("admin_option", Boolean)],
        "pg_cursors" => {
            &[("name", String), ("statement", String), ("is_holdable", Boolean), ("creation_time", Timestamp)]
        }
        "pg_settings" => &[("name", String), ("setting", String), ("unit", String), ("category", String)],
        "pg_views" => &[("schemaname", String), ("viewname", String), ("viewowner", String), ("definition", String)],
        "pg_matviews" => &[("schemaname", String), ("matviewname", String), ("matviewowner", String)],
        "pg_sequence" => &[("seqrelid", Int), ("seqtypid", Int), ("seqstart", Long)],
        "pg_foreign_table" => &[("ftrelid", Int), ("ftserver", Int)],
        _ => return None,
    })
}

const INDEX: &[Column] = &[
    ("indexrelid", Int),
    ("indrelid", Int),
    ("indnatts", Short),
    ("indnkeyatts", Short),
    ("indisunique", Boolean),
    ("indnullsnotdistinct", Boolean),
    ("indisprimary", Boolean),
    ("indisexclusion", Boolean),
    ("indimmediate", Boolean),
    ("indisclustered", Boolean),
    ("indisvalid", Boolean),
    ("indcheckxmin", Boolean),
    ("indisready", Boolean),
    ("indislive", Boolean),
    ("indisreplident", Boolean),
    ("indkey", Int),
    ("indcollation", Int),
    ("indclass", Int),
    ("indoption", Int),
    ("indexprs", String),
    ("indpred", String),
];

const LOCKS: &[Column] = &[
    ("locktype", String),
    ("database", Int),
    ("relation", Int),
    ("page", Int),
    ("tuple", Short),
    ("virtualxid", String),
    ("transactionid", Long),
    ("classid", Int),
    ("objid", Int),
    ("objsubid", Short),
    ("virtualtransaction", String),
    ("pid", Int),
    ("mode", String),
    ("granted", Boolean),
    ("fastpath", Boolean),
    ("waitstart", Timestamp),
];

const CONSTRAINT: &[Column] = &[
    ("oid", Int),
    ("conname", String),
    ("connamespace", Int),
    ("contype", Char),
    ("condeferrable", Boolean),
    ("condeferred", Boolean),
    ("conrelid", Int),
    ("conindid", Int),
    ("confrelid", Int),
    ("conkey", String),
    ("confkey", String),
];

const POLICY: &[Column] = &[
    ("oid", Int),
    ("polname", String),
    ("polrelid", Int),
    ("polcmd", Char),
    ("polpermissive", Boolean),
    ("polroles", String),
    ("polqual", String),
    ("polwithcheck", String),
];
