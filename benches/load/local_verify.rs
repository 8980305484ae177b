//! Verifying without a call: what the Rust client needs for a token, beside the bare check of its signature by the same
//! library.

use std::hint::black_box;
use std::time::{Duration, Instant};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ParsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign_client::{Connection, Require, Verifier};

use crate::figures::{Budget, Figure, Report};
use crate::rounds::{Plan, median};
use crate::server::Server;
use crate::{Result, people};

/// What is measured here.
pub(crate) const FIGURES: &[&str] = &["local_verify", "local_verify_cached", "local_verify_uncached"];

/// How many tokens are verified in turn.
const TOKENS: usize = 200;

/// A signature taken out of its token.
struct Signed {
    message: String,
    signature: Vec<u8>,
}

/// Signs people in, and verifies their tokens with what a client has been told.
pub(crate) async fn measure(core: usize, plan: Plan, report: &mut Report) -> Result<()> {
    let server = Server::embedded(core).await?;
    let people = people::sign_in(&server, TOKENS).await?;
    let tokens: Vec<_> = people.into_iter().map(|tokens| tokens.access_token).collect();
    let connection = Connection::to(server.url()).api_key(server.api_key()?).connect()?;
    // Nothing is told while this thread measures.
    let verifier = |remembered| {
        Verifier::builder(connection.clone(), "http://127.0.0.1:8080", "countersign")
            .bound(Duration::from_mins(1))
            .remembered(remembered)
            .start()
    };
    let (remembering, forgetful) = (verifier(100_000), verifier(1));
    remembering.ready().await;
    forgetful.ready().await;
    let (key, signed) =
        (public_key(&connection).await?, tokens.iter().map(|token| taken_apart(token)).collect::<Result<Vec<_>>>()?);

    let require = Require::new();
    let judge = |verifier: &Verifier, at: usize| verifier.verify(&tokens[at], &require).is_ok();
    let bare = |at: usize| key.verify_sig(signed[at].message.as_bytes(), &signed[at].signature).is_ok();
    let (mut cached, mut uncached, mut alone) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..plan.rounds {
        cached.push(nanoseconds(plan, |at| judge(&remembering, at))?);
        // What has been told meanwhile is taken in.
        tokio::time::sleep(Duration::from_millis(20)).await;
        uncached.push(nanoseconds(plan, |at| judge(&forgetful, at))?);
        tokio::time::sleep(Duration::from_millis(20)).await;
        alone.push(nanoseconds(plan, bare)?);
    }
    let share = |of: &[f64]| median(of.iter().zip(&alone).map(|(mine, bare)| mine / bare).collect());
    let remark = format!("a bare ES256 check takes {:.0} ns", median(alone.clone()));
    report.add(
        Figure::new("local_verify_cached", median(cached.clone()), "ns")
            .ratio(share(&cached))
            .budget(Budget::AtMost(0.05))
            .remark(Some(remark)),
    );
    report.add(
        Figure::new("local_verify_uncached", median(uncached.clone()), "ns")
            .ratio(share(&uncached))
            .budget(Budget::AtMost(1.5)),
    );
    Ok(())
}

/// What one judgement takes, over a window, each of which has to come out well.
fn nanoseconds(plan: Plan, judge: impl Fn(usize) -> bool) -> Result<f64> {
    let over = |span: Duration| {
        let (begun, mut count) = (Instant::now(), 0_u32);
        while begun.elapsed() < span {
            for at in 0..TOKENS {
                if !black_box(judge(black_box(at))) {
                    return Err("a token that counts was refused".into());
                }
            }
            count += 1;
        }
        Result::Ok(begun.elapsed().as_secs_f64() * 1e9 / f64::from(count))
    };
    over(plan.window.warm_up)?;
    #[expect(clippy::cast_precision_loss, reason = "it is a small number")]
    Ok(over(plan.window.measured)? / TOKENS as f64)
}

async fn public_key(connection: &Connection) -> Result<ParsedPublicKey> {
    let answer = connection.tokens().get_jwks(countersign_client::proto::v1::GetJwksRequest {}).await?.into_inner();
    let jwk = answer.keys.first().ok_or("there are no keys")?;
    let point = [vec![4], URL_SAFE_NO_PAD.decode(&jwk.x)?, URL_SAFE_NO_PAD.decode(&jwk.y)?].concat();
    ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).map_err(|error| error.to_string().into())
}

fn taken_apart(token: &str) -> Result<Signed> {
    let (message, signature) = token.rsplit_once('.').ok_or("not a token")?;
    Ok(Signed { message: message.to_owned(), signature: URL_SAFE_NO_PAD.decode(signature)? })
}
