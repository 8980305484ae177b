//! The configuration, read from texts.

use super::*;

fn load(file: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::read(Settings::gather(Some(("test.toml", file)), variables))
}

#[test]
fn the_defaults_are_sound() {
    let config = load("", &[]).unwrap();
    assert_eq!(config.profile, Profile::Development);
    assert_eq!(config.token.access_lifetime, TimeDelta::minutes(5));
}

#[test]
fn the_environment_wins_over_the_file() {
    let file = "[grpc]\nworkers = 3\n[token]\naudience = ['a', 'b']\n";
    let config = load(file, &[("COUNTERSIGN__GRPC__WORKERS", "5"), ("COUNTERSIGN__TOKEN__SCOPES", "x, y")]).unwrap();
    assert_eq!(config.grpc.workers, 5);
    assert_eq!(config.token.audience, ["a", "b"]);
    assert_eq!(config.token.scopes, ["x", "y"]);
}

#[test]
fn all_problems_are_reported_at_once_with_their_source() {
    let file = "[grpc]\nworkers = 'many'\nnonsense = 1\n[session]\ngrace = '10 minutes'\n";
    let problems = load(file, &[("COUNTERSIGN__HTTP__LISTEN", "nowhere"), ("COUNTERSIGN__NO__SUCH", "1")]);
    insta::assert_snapshot!(problems.unwrap_err().to_string(), @r"
    - grpc.nonsense (file test.toml): there is no such setting
    - grpc.workers (file test.toml): must be a whole number, not a text
    - no.such (environment variable COUNTERSIGN__NO__SUCH): there is no such setting
    - http.listen (environment variable COUNTERSIGN__HTTP__LISTEN): must be an IP address and a port, such as 127.0.0.1:50051
    - session.grace (file test.toml): must be a number and a unit: ms, s, m, h or d
    ");
}

#[test]
fn a_list_holds_texts_only_and_nothing_is_left_out_of_it_silently() {
    let problems = load("[limits]\ncountries = [98]\n[token]\naudience = ['a', 1]\n", &[]).unwrap_err().0;
    let settings: Vec<_> = problems.iter().map(|problem| problem.setting.as_str()).collect();
    assert_eq!(settings, ["limits.countries", "token.audience"]);
}

#[test]
fn production_refuses_every_development_setting() {
    let problems = load("profile = 'production'", &[]).unwrap_err().0;
    let settings: Vec<_> = problems.iter().map(|problem| problem.setting.as_str()).collect();
    assert_eq!(
        settings,
        ["notify.sms", "notify.email", "database.url", "cache.url", "secrets.root_key", "token.issuer"]
    );
}

#[test]
fn tls_is_there_as_a_whole_or_not_at_all() {
    let faulty = |file: &str| -> Vec<String> {
        load(&format!("[tls]\n{file}"), &[]).unwrap_err().0.into_iter().map(|problem| problem.setting).collect()
    };
    assert_eq!(faulty("certificate_file = 'a'"), ["tls.key_file"]);
    assert_eq!(faulty("key_file = 'a'"), ["tls.certificate_file"]);
    assert_eq!(faulty("client_ca_file = 'a'"), ["tls.certificate_file"]);
    assert_eq!(
        faulty("certificate_file = 'a'\nkey_file = 'b'\nrequire_client_certificate = true"),
        ["tls.require_client_certificate"]
    );
    let config = load("[tls]\ncertificate_file = 'a'\nkey_file = 'b'", &[]).unwrap();
    assert!(config.tls.unwrap().client_ca_file.is_none());
}

#[test]
fn a_secret_can_come_from_a_file_and_a_bad_one_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().display().to_string();
    let key = RootKey::generate();
    std::fs::write(file.path(), format!("{}\n", key.to_base64().expose())).unwrap();
    let config = load("", &[("COUNTERSIGN__SECRETS__ROOT_KEY_FILE", &path)]).unwrap();
    assert_eq!(config.root_key, Some(key));

    std::fs::write(file.path(), "rubbish").unwrap();
    let problems = load("", &[("COUNTERSIGN__SECRETS__ROOT_KEY_FILE", &path)]).unwrap_err().0;
    assert_eq!(problems[0].setting, "secrets.root_key_file");
    assert!(!problems[0].to_string().contains("rubbish"));
}

#[test]
fn a_file_that_is_empty_holds_no_secret() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().display().to_string();
    for content in ["", "\n"] {
        std::fs::write(file.path(), content).unwrap();
        let problems = load("", &[("COUNTERSIGN__JOBS__HTTP_KEY_FILE", &path)]).unwrap_err().0;
        assert_eq!(problems[0].setting, "jobs.http_key_file");
    }
}

#[test]
fn a_cheaper_password_hash_than_owasp_recommends_is_refused() {
    let with = |memory: u32, passes: u32| load(&format!("[password]\nmemory_kib = {memory}\npasses = {passes}\n"), &[]);
    for (memory, passes) in [(19_456, 2), (47_104, 1), (12_288, 3), (7_168, 5), (65_536, 3)] {
        assert!(with(memory, passes).is_ok(), "{memory} {passes}");
    }
    for (memory, passes) in [(19_456, 1), (19_455, 2), (7_168, 4), (47_103, 1)] {
        let problems = with(memory, passes).unwrap_err().0;
        assert_eq!(problems[0].setting, "password.memory_kib", "{memory} {passes}");
    }
    let problems = load("[password]\nminimum_length = 7\nmemory_kib = 262145\n", &[]).unwrap_err().0;
    assert_eq!(problems.len(), 2);
}

#[test]
fn a_collector_is_described_soundly_or_not_at_all() {
    let of = |text: &str| load(&format!("[telemetry]\n{text}\n"), &[]);
    let telemetry = of("resource = ['a=b', 'c = d=e']\nsampling_ratio = '0.25'\ntraces = true").unwrap().telemetry;
    assert!(telemetry.is_on());
    assert_eq!(telemetry.sampling_ratio.to_string(), "0.25");
    assert_eq!(telemetry.resource, [("a", "b"), ("c", "d=e")].map(|(name, value)| (name.to_owned(), value.to_owned())));
    for bad in [
        "sampling_ratio = '2'",
        "sampling_ratio = 'NaN'",
        "resource = ['a']",
        "protocol = 'http'",
        "headers = 'secret'",
        "logs = true\nendpoint = 'collector'",
        "traces = true\nheaders = 'a=b'\nendpoint = 'ftp://collector'",
    ] {
        assert!(of(bad).is_err(), "{bad}");
    }
    // Where nothing is sent, nobody needs to be there.
    assert!(!of("endpoint = ''").unwrap().telemetry.is_on());
}
