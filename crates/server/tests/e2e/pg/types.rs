//! Values of every type: parameters in both forms, and back in both.

use super::raw::{Client, bind, bind_binary, describe, execute, parse, sync};
use super::server::Server;

const TABLE: &str = "create table a (by byte, ch char, f float, u uuid, ip ipv4, l2 long256, g geohash(4c), bi binary, \
                     da double[], d2 double[][], de decimal(18,3), tn timestamp_ns, ts timestamp) timestamp(ts) partition by day";
const INSERT: &str = "insert into a values ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13)";
/// What the row of both tests looks like as text.
const ROW: &str = "D 5|x|1.5|11111111-1111-1111-1111-111111111111|10.0.0.1|0x1f|u33d|\\xff0001|{1.5,NULL}|{{1.0,2.0}}|1.250|\
                   1970-01-01 00:00:00.000005|1970-01-01 00:00:00.000007";

fn served() -> (Server, Client) {
    let server = Server::start();
    let mut client = Client::connect(server.address);
    client.query(TABLE);
    (server, client)
}

fn words(words: &[i32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// The row in PostgreSQL's binary forms.
fn binary_row() -> Vec<Vec<u8>> {
    let number = |value: f64| [words(&[8]), value.to_be_bytes().to_vec()].concat();
    let moment = |us: i64| (us - 946_684_800_000_000).to_be_bytes().to_vec();
    vec![
        5i16.to_be_bytes().to_vec(),
        b"x".to_vec(),
        1.5f32.to_be_bytes().to_vec(),
        vec![0x11; 16],
        b"10.0.0.1".to_vec(),
        b"0x1f".to_vec(),
        b"u33d".to_vec(),
        vec![0xff, 0, 1],
        [words(&[1, 1, 701, 2, 1]), number(1.5), words(&[-1])].concat(),
        [words(&[2, 0, 701, 1, 1, 2, 1]), number(1.0), number(2.0)].concat(),
        [2i16, 0, 0, 3, 1, 2500].iter().flat_map(|group| group.to_be_bytes()).collect(),
        moment(5),
        moment(7),
    ]
}

#[test]
fn binary_parameters_come_back_in_binary_and_as_text() {
    let (_server, mut client) = served();
    let told = client.extended(&[parse("i", INSERT, &[]), describe('S', "i"), sync()]);
    assert!(told.contains(&"t 21,1042,700,2950,1043,1043,1043,17,1022,1022,1700,1114,1114".to_owned()), "{told:?}");
    let row = binary_row();
    let bound: Vec<Option<&[u8]>> = row.iter().map(|v| Some(v.as_slice())).collect();
    let inserted = client.extended(&[bind_binary("", "i", &bound), execute("", 0), sync()]);
    assert!(inserted.contains(&"C INSERT 0 1".to_owned()), "{inserted:?}");
    assert_eq!(client.query("select * from a")[1], ROW);
    let back = client.extended(&[parse("", "select * from a", &[]), bind_binary("", "", &[]), execute("", 0), sync()]);
    let shown = |bytes: &Vec<u8>| match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
        _ => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
    };
    let expected = format!("D {}", row.iter().map(shown).collect::<Vec<_>>().join("|"));
    assert!(back.contains(&expected), "{back:?}, expected {expected}");
    // and each as a filter
    for (condition, i) in [("f = $1", 2), ("tn = $1", 11), ("ts = $1", 12)] {
        let sql = format!("select count() from a where {condition}");
        let found = client.extended(&[parse("", &sql, &[]), bind_binary("", "", &[bound[i]]), execute("", 0), sync()]);
        assert!(found.contains(&"D 0000000000000001".to_owned()), "{sql}: {found:?}");
    }
}

#[test]
fn text_parameters_of_every_type_are_taken() {
    let (_server, mut client) = served();
    let values = [
        "5",
        "x",
        "1.5",
        "11111111-1111-1111-1111-111111111111",
        "10.0.0.1",
        "0x1f",
        "u33d",
        "\\xff0001",
        "{1.5,NULL}",
        "{{1,2}}",
        "1.25",
        "1970-01-01 00:00:00.000005",
        "1970-01-01T00:00:00.000007Z",
    ];
    let bound = values.map(Some);
    let inserted = client.extended(&[parse("", INSERT, &[]), bind("", "", &bound), execute("", 0), sync()]);
    assert!(inserted.contains(&"C INSERT 0 1".to_owned()), "{inserted:?}");
    assert_eq!(client.query("select * from a")[1], ROW);
    let mut nulls = [None; 13];
    nulls[12] = Some("1970-01-02");
    client.extended(&[parse("", INSERT, &[]), bind("", "", &nulls), execute("", 0), sync()]);
    let last = client.query("select * from a limit -1");
    assert_eq!(last[1], format!("D 0|{}1970-01-02 00:00:00.000000", "NULL|".repeat(11)));
}

#[test]
fn numerics_go_where_numbers_are_wanted() {
    let (_server, mut client) = served();
    client.query("create table n (d double, m decimal(18,3))");
    // as psycopg sends a Decimal, and a float for the DECIMAL
    let sent = [parse("", "insert into n values ($1, $2)", &[1700, 701]), bind("", "", &[Some("1.25"), Some("2.5")])];
    let inserted = client.extended(&[sent[0].clone(), sent[1].clone(), execute("", 0), sync()]);
    assert!(inserted.contains(&"C INSERT 0 1".to_owned()), "{inserted:?}");
    assert_eq!(client.query("select * from n")[1], "D 1.25|2.500");
    let filter = parse("", "select m from n where d = $1", &[1700]);
    let found = client.extended(&[filter, bind("", "", &[Some("1.25")]), execute("", 0), sync()]);
    assert!(found.contains(&"D 2.500".to_owned()), "{found:?}");
}
