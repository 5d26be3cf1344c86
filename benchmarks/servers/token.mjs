// HS256 tokens checked with what the runtime has: the same work that the other servers do at the door.
import { createHmac, timingSafeEqual } from "node:crypto";

const secret = process.env.BENCH_SECRET;

/** The claims of a valid token in `url`'s query parameter `token`, or null. */
export function claimsOf(url) {
  const token = new URL(url, "http://localhost").searchParams.get("token") ?? "";
  const [header, body, signature] = token.split(".");
  const wanted = createHmac("sha256", secret).update(`${header}.${body}`).digest();
  const given = Buffer.from(signature ?? "", "base64url");
  if (given.length !== wanted.length || !timingSafeEqual(given, wanted)) return null;
  const claims = JSON.parse(Buffer.from(body, "base64url").toString());
  return claims.exp * 1000 > Date.now() ? claims : null;
}

/** What every member of `room` gets: the text with its sender and its time. */
export function messageOf(claims, room, content) {
  return { room, content, sender_id: claims.sub, sender_name: claims.name, timestamp: new Date().toISOString() };
}
