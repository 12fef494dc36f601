use super::*;

#[test]
fn an_empty_file_is_the_default_on_loopback() {
    let config = parse("", &[]).unwrap();
    assert_eq!(config, Config::default());
    assert!(config.http_address().unwrap().ip().is_loopback());
}

#[test]
fn the_sample_is_the_default_with_a_user_who_may_register() {
    let sample = parse(include_str!("../../../examples/harmony.toml"), &[]).unwrap();
    assert_eq!((sample.sip.users[0].name.as_str(), sample.sip.users[0].password.as_str()), ("yard", "secret"));
    let mut default = Config::default();
    default.sip.users = sample.sip.users.clone();
    assert_eq!(sample, default);
}

#[test]
fn an_unknown_key_is_refused_with_its_file_and_line() {
    let error = parse("[http]\nport = 9000\nprot = 1\n", &[]).unwrap_err().to_string();
    assert!(error.starts_with("test.toml:3: unknown field `prot`"), "{error}");
    let error = parse("\n\n[htpp]\nport = 1\n", &[]).unwrap_err().to_string();
    assert!(error.starts_with("test.toml:3: unknown field `htpp`"), "{error}");
}

#[test]
fn a_wrong_value_is_refused_with_its_line_and_broken_text_too() {
    for (text, line) in
        [("[http]\nport = \"x\"", 2), ("[http]\nhost = \"example.com\"", 2), ("[http\n", 1), ("a = \"\n\n", 1)]
    {
        let error = parse(text, &[]).unwrap_err().to_string();
        assert!(error.starts_with(&format!("test.toml:{line}: ")) && !error.contains('\n'), "{error}");
    }
}

#[test]
fn variables_win_over_the_file_and_are_read_as_what_the_key_wants() {
    let config = parse(
        "[http]\nport = 9000\n",
        &[
            ("HARMONY__HTTP__PORT", "9001"),
            ("HARMONY__HTTP__HOST", "0.0.0.0"),
            ("HARMONY__AUTH__KEYS", "alpha, 12345"),
            ("HARMONY__ASR__ENGINE", "moonshine"),
            ("HARMONY__ASR__MODEL", "5"),
            ("HARMONY__ASR__GAIN", "false"),
            ("HARMONY__ASR__NOISE_SUPPRESSION", "on"),
            ("HARMONY__ASR__DIARIZATION", "false"),
            ("HARMONY_MODELS_DIR", "/elsewhere"),
        ],
    )
    .unwrap();
    assert_eq!(config.http_address(), Some("0.0.0.0:9001".parse().unwrap()));
    assert_eq!(config.auth.keys, ["alpha", "12345"]);
    assert_eq!(config.asr.engine, Engine::Moonshine);
    assert_eq!(config.asr.model.as_deref(), Some("5"));
    assert!(!config.asr.gain && Config::default().asr.gain);
    assert_eq!(config.asr.noise_suppression, Suppression::On);
    assert!(!config.asr.diarization && Config::default().asr.diarization);
}

#[test]
fn one_numeric_key_in_a_variable_is_a_list_of_one() {
    assert_eq!(parse("", &[("HARMONY__AUTH__KEYS", "12345")]).unwrap().auth.keys, ["12345"]);
}

#[test]
fn an_unknown_variable_is_refused_by_name() {
    for name in ["HARMONY__HTTP__PROT", "HARMONY__HTPP__PORT", "HARMONY__PORT", "HARMONY__HTTP__PORT__X"] {
        let error = parse("", &[(name, "1")]).unwrap_err().to_string();
        assert!(error.starts_with(name), "{error}");
    }
}

#[test]
fn values_that_make_no_sense_are_refused_by_key() {
    for (text, key) in [
        ("[asr]\nthreads = 0", "asr.threads"),
        ("[limits]\nstreams_max = 0", "limits.streams_max"),
        ("[recording]\nbitrate_bps = 5", "recording.bitrate_bps"),
        ("[sip]\nadvertise = \"a:1\"", "sip.advertise"),
        ("[sip]\ntls_cert = \"a\"", "sip.tls_key"),
        ("[sip]\ntls_client_ca = \"a\"", "sip.tls_client_ca"),
        ("[sip]\nport = 5061", "sip.tls_port"),
        ("[sip]\nregister_min_s = 0", "sip.register_min_s"),
        ("[sip]\nusers = [{ name = \"a b\", password = \"c\" }]", "sip.users"),
        ("[sip]\nusers = [{ name = \"a\", password = \"\" }]", "sip.users"),
        ("[twilio]\naccount_sid = \"AC1\"", "twilio.auth_token"),
        ("[twilio]\naccount_sid = \"AC1\"\nauth_token = \"short\"", "twilio.auth_token"),
        ("[[numbers]]\nnumber = \"9*\"\nto = \"trunk:a\"\nauth = true", "numbers[0].to"),
        ("[[numbers]]\nnumber = \"9*\"\nto = \"echo\"\nfrom = [\"trunk:a\"]", "numbers[0].from"),
        ("[[trunks]]\nname = \"a\"\nuri = \"a.example\"", "trunks[0].uri"),
        ("[[trunks]]\nname = \"a\"\nuri = \"sip:a\"\nregister = true", "trunks[0].user"),
        ("[[trunks]]\nname = \"a\"\nuri = \"sips:a\"\ntransport = \"udp\"", "trunks[0].transport"),
        ("[dialling]\nbudget_per_day = 1.5", "dialling.budget_per_day"),
        ("[numbering]\ncountry = \"+49\"", "numbering.country"),
        ("[rtp]\nport_min = 3\nport_max = 2", "rtp.port_min"),
        ("[agent]\nconversations_max = 0", "agent.conversations_max"),
        ("[agent]\nfirst_word_ms = 0", "agent.first_word_ms"),
        ("[agent]\npersona = \"../x\"", "agent.persona"),
        ("[[llm]]\nmodel = \"m\"", "llm[0].base_url"),
        ("[[llm]]\nmodel = \" \"\nbase_url = \"http://h\"", "llm[0].model"),
        ("[[llm]]\nmodel = \"m\"\nbase_url = \"ftp://h\"", "llm[0].base_url"),
        ("[[llm]]\nmodel = \"m\"\nkind = \"openai\"\nrole = \"special\"", "llm[0].role"),
        ("[[llm]]\nmodel = \"m\"\nkind = \"openai\"\n[[llm]]\nmodel = \"m\"\nkind = \"openai\"", "llm[1].name"),
        ("[webrtc]\nport_min = 3\nport_max = 2", "webrtc.port_min"),
        ("[webrtc]\nstun = [\"stun.example.org\"]", "webrtc.stun"),
        ("[webrtc]\nmax_peers = 0", "webrtc.max_peers"),
        ("[log]\nlevel = \"loud,,=x\"", "log.level"),
    ] {
        let error = parse(text, &[]).unwrap_err().to_string();
        assert!(error.starts_with(key), "{error}");
    }
}

#[test]
fn keys_do_not_show_in_debug_output() {
    for text in [
        "[auth]\nkeys = [\"hush\"]",
        "[[sip.users]]\nname = \"yard\"\npassword = \"hush\"",
        "[[trunks]]\nname = \"a\"\nuri = \"sip:a.example\"\nuser = \"b\"\npassword = \"hush\"",
        "[twilio]\naccount_sid = \"AC1\"\nauth_token = \"hush-hush-hush-hush\"",
        "[[llm]]\nkind = \"openai\"\nmodel = \"m\"\napi_key = \"hush\"",
    ] {
        assert!(!format!("{:?}", parse(text, &[]).unwrap()).contains("hush"));
    }
}

#[test]
fn port_zero_switches_the_listener_off() {
    assert_eq!(parse("[http]\nport = 0", &[]).unwrap().http_address(), None);
}

#[test]
fn every_address_that_is_listened_on_is_named_with_its_key() {
    let named =
        |text: &str| parse(text, &[]).unwrap().addresses().map(|(at, key)| (at.to_string(), key)).collect::<Vec<_>>();
    assert_eq!(named(""), [("127.0.0.1:8080".to_owned(), "http.host"), ("127.0.0.1:5060".to_owned(), "sip.host")]);
    let text = "[http]\nport = 0\n[sip]\nhost = \"::\"\nport = 0\ntls_cert = \"a\"\ntls_key = \"b\"";
    assert_eq!(named(text), [("[::]:5061".to_owned(), "sip.host")]);
}

#[test]
fn numbers_and_trunks_are_read_and_a_wrong_one_is_refused_with_its_line() {
    let text = "
        [[numbers]]
        number = [\"+4930123*\", \"office\"]
        to = \"ivr:https://app.example/voice\"
        method = \"GET\"
        from = [\"trunk:berlin\", \"192.0.2.0/24\"]
        [[trunks]]
        name = \"berlin\"
        uri = \"sip:sip.example:5070\"
        codecs = [\"g722\", \"pcma\"]
        [dialling]
        allow = [\"+49\"]
        prices = { \"+49\" = 0.02 }
        budget_per_day = 5
        [numbering]
        country = \"49\"
    ";
    let config = parse(text, &[("HARMONY__DIALLING__ALLOW", "+49, +43"), ("HARMONY__NUMBERING__AREA", "30")]).unwrap();
    assert_eq!((config.numbers.0.len(), config.numbers.0[0].number.len()), (1, 2));
    assert_eq!(config.trunks[0].codecs, [Codec::G722, Codec::Pcma]);
    assert_eq!((config.dialling.allow.len(), config.numbering.area.as_deref()), (2, Some("30")));
    for (from, to, line) in [
        ("number = [", "nummer = [", 3),
        ("to = \"ivr:", "to = \"ibr:", 4),
        ("192.0.2.0/24", "192.0.2.0/99", 6),
        ("\"pcma\"", "\"mp3\"", 10),
        ("\"+49\"]", "\"49x\"]", 12),
    ] {
        let error = parse(&text.replace(from, to), &[]).unwrap_err().to_string();
        assert!(error.starts_with(&format!("test.toml:{line}: ")), "{error}");
    }
}

#[test]
fn language_models_are_read_and_a_wrong_key_is_refused_with_its_line() {
    let text = "
        [agent]
        personas = \"personas\"
        persona = \"office\"
        [[llm]]
        kind = \"anthropic\"
        model = \"large\"
        api_key = \"hush\"
        price = { input = 3.0, output = 15.0 }
        [[llm]]
        name = \"quick\"
        kind = \"ollama\"
        base_url = \"http://127.0.0.1:11434/v1\"
        model = \"small\"
        role = \"fast\"
        extra = { keep_alive = -1 }
    ";
    let config = parse(text, &[]).unwrap();
    let providers: Vec<_> = config.llm.iter().map(|model| model.provider().unwrap()).collect();
    let names: Vec<&str> = providers.iter().map(|provider| &*provider.name).collect();
    assert_eq!((names, config.agent.persona.as_str()), (vec!["large", "quick"], "office"));
    assert_eq!(providers[0].base_url.as_str(), "https://api.anthropic.com/v1");
    assert_eq!(providers[1].extra["keep_alive"], -1);
    for (from, to, line) in [("api_key", "apikey", 8), ("\"fast\"", "\"slow\"", 15), ("personas =", "folder =", 3)] {
        let error = parse(&text.replace(from, to), &[]).unwrap_err().to_string();
        assert!(error.starts_with(&format!("test.toml:{line}: ")), "{error}");
    }
}

#[test]
fn a_list_of_tables_is_one_variable() {
    let numbers = ("HARMONY__NUMBERS", "[{ number = \"a\", to = \"echo\" }, { number = \"b\", to = \"ring\" }]");
    assert_eq!(parse("", &[numbers]).unwrap().numbers.0.len(), 2);
    let users = ("HARMONY__SIP__USERS", "[{ name = \"yard\", password = \"secret\" }]");
    assert_eq!(parse("", &[users]).unwrap().sip.users[0].name, "yard");
    for name in ["HARMONY__NUMBERS", "HARMONY__HTTP", "HARMONY__NUMBRES"] {
        let error = parse("", &[(name, "[{ number = 5 }]")]).unwrap_err().to_string();
        assert!(error.starts_with(name), "{error}");
    }
}

fn parse(text: &str, variables: &[(&str, &str)]) -> Result<Config, Error> {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::parse(Path::new("test.toml"), text, variables)
}
