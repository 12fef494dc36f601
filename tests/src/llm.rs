//! A language model that says what a script says: an OpenAI-compatible server in this process, streaming as they do.
//!
//! A script is a list of rules in JSON (`tests/data/agent`). The first whose `when` occurs in the last message answers; one
//! without `when` fits every message. A rule may `say` words, make `calls`, `fail` in the ways in which real servers do, and
//! be used `once`. Its first token comes after 150 ms, the next every 15. One request a connection; what was asked is kept
//! for the test to look at.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};

use crate::baresip::pass;

/// What a real model takes on a good day.
const FIRST_AFTER: Duration = Duration::from_millis(150);

/// Tokens come faster than they can be spoken.
const TOKEN_EVERY: Duration = Duration::from_millis(15);

/// How long a question is waited for.
const WITHIN: Duration = Duration::from_secs(20);

/// The largest question.
const BYTES_MAX: usize = 4 << 20;

/// One that hangs does so for longer than anybody waits.
const HANGS_FOR: Duration = Duration::from_secs(120);

/// A running model. It ends with the test's runtime.
#[derive(Debug)]
pub struct Model {
    address: SocketAddr,
    asked: mpsc::Receiver<Value>,
}

impl Model {
    /// Starts one with the rules of `tests/data/agent/NAME.json`.
    ///
    /// # Panics
    /// When there is no such script, or the machine refuses a port.
    pub async fn start(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/agent").join(format!("{name}.json"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self::with(serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))).await
    }

    /// Starts one with these rules.
    ///
    /// # Panics
    /// When they are no list, or the machine refuses a port.
    pub async fn with(rules: Value) -> Self {
        let rules = rules.as_array().expect("a script is a list").clone();
        let rules = Arc::new(Mutex::new(rules));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let (tell, asked) = mpsc::channel(256);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, rules.clone(), tell.clone()));
            }
        });
        Self { address, asked }
    }

    /// The configuration of a server that asks this model.
    pub fn config(&self) -> String {
        format!("[[llm]]\nname = \"scripted\"\nbase_url = \"http://{}/v1\"\nmodel = \"scripted\"\n", self.address)
    }

    /// The address of a path, which begins with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The body of the next question.
    ///
    /// # Panics
    /// When none comes.
    pub async fn next(&mut self) -> Value {
        timeout(WITHIN, self.asked.recv()).await.expect("the model is asked").expect("the model runs")
    }

    /// The questions that came so far and were not looked at.
    pub fn so_far(&mut self) -> Vec<Value> {
        std::iter::from_fn(|| self.asked.try_recv().ok()).collect()
    }
}

/// What somebody of this role says in a question.
pub fn written<'a>(question: &'a Value, role: &str) -> Vec<&'a str> {
    let messages = question["messages"].as_array().into_iter().flatten();
    messages.filter(|message| message["role"] == role).filter_map(|message| message["content"].as_str()).collect()
}

/// What the last message of a question says, in lower case.
pub fn last_message(question: &Value) -> String {
    let last = question["messages"].as_array().and_then(|messages| messages.last());
    last.map(|message| text_of(&message["content"]).to_lowercase()).unwrap_or_default()
}

/// The text of a message's content, which may be in parts.
fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join(" "),
        _ => String::new(),
    }
}

async fn answer(mut stream: TcpStream, rules: Arc<Mutex<Vec<Value>>>, tell: mpsc::Sender<Value>) {
    let mut bytes = Vec::new();
    let question = loop {
        if let Some(question) = read(&bytes) {
            break question;
        }
        match stream.read_buf(&mut bytes).await {
            Ok(1..) if bytes.len() < BYTES_MAX => {}
            _ => return,
        }
    };
    let rule = rule_for(&mut rules.lock().unwrap_or_else(PoisonError::into_inner), &last_message(&question));
    // A test that does not look any more is over.
    let _ = tell.send(question).await;
    // Whoever asked may have gone: an answer that is not read is given up.
    let _ = play(&mut stream, &rule).await;
}

/// The first rule that fits, which is gone if it is there for once.
fn rule_for(rules: &mut Vec<Value>, message: &str) -> Value {
    let fits = |rule: &Value| rule["when"].as_str().is_none_or(|when| message.contains(&when.to_lowercase()));
    let Some(at) = rules.iter().position(fits) else { return json!({"fail": "status", "status": 404}) };
    if rules[at]["once"] == true { rules.remove(at) } else { rules[at].clone() }
}

async fn play(stream: &mut TcpStream, rule: &Value) -> std::io::Result<()> {
    let fail = rule["fail"].as_str().unwrap_or_default();
    let body = match fail {
        "hang" => {
            pass(HANGS_FOR).await;
            return Ok(());
        }
        "status" => {
            let status = rule["status"].as_u64().unwrap_or(500);
            Some((format!("HTTP/1.1 {status} Status\r\nContent-Type: application/json\r\n"), ERROR_BODY))
        }
        "html" => Some((
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n".to_owned(),
            "<html><body>Welcome to the hotel's network</body></html>",
        )),
        _ => None,
    };
    if let Some((head, body)) = body {
        let text = format!("{head}Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
        return stream.write_all(text.as_bytes()).await;
    }
    let head =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).await?;
    pass(FIRST_AFTER).await;
    for word in rule["say"].as_str().unwrap_or_default().split_inclusive(' ') {
        chunk(stream, &event(&delta(json!({"content": word}), Value::Null))).await?;
        pass(TOKEN_EVERY).await;
    }
    if fail == "garbage" {
        chunk(stream, b"data: {\"choices\":[{\"delta\":{\"content\":\n\n").await?;
    }
    let calls = rule["calls"].as_array().cloned().unwrap_or_default();
    for (index, call) in calls.iter().enumerate() {
        let id = format!("call_{}_{index}", call["name"].as_str().unwrap_or_default());
        let begin =
            json!({"index": index, "id": id, "type": "function", "function": {"name": call["name"], "arguments": ""}});
        chunk(stream, &event(&delta(json!({"tool_calls": [begin]}), Value::Null))).await?;
        let more = json!({"index": index, "function": {"arguments": call["arguments"].to_string()}});
        chunk(stream, &event(&delta(json!({"tool_calls": [more]}), Value::Null))).await?;
    }
    let why = if calls.is_empty() { "stop" } else { "tool_calls" };
    chunk(stream, &event(&delta(json!({}), why.into()))).await?;
    let usage = json!({"id": ID, "object": OBJECT, "choices": [], "usage": {"prompt_tokens": 50, "completion_tokens": 20, "total_tokens": 70}});
    chunk(stream, &event(&usage)).await?;
    chunk(stream, b"data: [DONE]\n\n").await?;
    stream.write_all(b"0\r\n\r\n").await
}

async fn chunk(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    let mut whole = format!("{:x}\r\n", bytes.len()).into_bytes();
    whole.extend_from_slice(bytes);
    whole.extend_from_slice(b"\r\n");
    stream.write_all(&whole).await
}

fn event(json: &Value) -> Vec<u8> {
    format!("data: {json}\n\n").into_bytes()
}

fn delta(delta: Value, finish: Value) -> Value {
    json!({
        "id": ID, "object": OBJECT, "model": "scripted",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    })
}

/// The JSON of a request, once all of it is there.
fn read(bytes: &[u8]) -> Option<Value> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    let body = bytes.get(end + 4..end + 4 + length.unwrap_or(0))?;
    Some(serde_json::from_slice(body).unwrap_or(Value::Null))
}

const ID: &str = "chatcmpl-scripted";
const OBJECT: &str = "chat.completion.chunk";
const ERROR_BODY: &str = r#"{"error":{"message":"not today","type":"server_error","code":"overloaded"}}"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rule_that_fits_answers_and_one_for_once_is_gone_then() {
        let mut rules = vec![json!({"when": "Bye", "say": "a", "once": true}), json!({"when": "bye", "say": "b"})];
        assert_eq!(rule_for(&mut rules, "good bye")["say"], "a");
        assert_eq!(rule_for(&mut rules, "good bye")["say"], "b");
        assert_eq!(rule_for(&mut rules, "hello")["status"], 404);
        rules.push(json!({"say": "c"}));
        assert_eq!(rule_for(&mut rules, "hello")["say"], "c");
    }

    #[test]
    fn a_question_is_read_once_it_is_whole() {
        let body = r#"{"messages":[{"role":"user","content":[{"type":"text","text":"Hello You"}]}]}"#;
        let whole = format!("POST /v1/chat/completions HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        assert_eq!(read(&whole.as_bytes()[..whole.len() - 1]), None);
        assert_eq!(last_message(&read(whole.as_bytes()).unwrap()), "hello you");
    }
}
