package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// startRedis starts a master, which the service knows by its socket, and its replica.
func (w *world) startRedis() error {
	var ports [2]string
	for i := range ports {
		_, ports[i], _ = net.SplitHostPort(freeAddress())
	}
	for i, name := range []string{"redis", "redis-replica"} {
		if err := os.MkdirAll(w.path(name+".d"), 0o700); err != nil {
			return err
		}
		arguments := []string{
			w.setup.redis, "--port", ports[i], "--bind", host(), "--unixsocket", w.path(name), "--dir", w.path(name + ".d"), "--save", "",
			"--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction", "--repl-diskless-sync-delay", "0", "--enable-debug-command", "yes",
		}
		if i == 1 {
			arguments = append(arguments, "--replicaof", host()+" "+ports[0])
		}
		p := &process{name: name, command: arguments, ready: func(*process) error { return ping(w.path(name)) }}
		w.redis = append(w.redis, p)
		if err := p.start(); err != nil {
			return err
		}
		if err := p.await(ready); err != nil {
			return err
		}
	}
	return nil
}

func ping(socket string) error {
	_, err := redis(socket, "PING")
	return err
}

// redis sends one command and returns the text or number of the answer; those of a list
// are lines.
func redis(socket string, words ...string) (string, error) {
	answers, err := redisAll(socket, words)
	if err != nil {
		return "", err
	}
	return answers[0], nil
}

// redisAll sends commands at once and returns their answers.
func redisAll(socket string, commands ...[]string) ([]string, error) {
	conn, err := net.DialTimeout("unix", socket, time.Second)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }() // these commands were all
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	for _, words := range commands {
		fmt.Fprintf(&b, "*%d\r\n", len(words))
		for _, word := range words {
			fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(word), word)
		}
	}
	if _, err := conn.Write(b.Bytes()); err != nil {
		return nil, err
	}
	answers, reader := make([]string, len(commands)), bufio.NewReader(conn)
	for i := range answers {
		if answers[i], err = readAnswer(reader); err != nil {
			return nil, err
		}
	}
	return answers, nil
}

func readAnswer(reader *bufio.Reader) (string, error) {
	line, err := reader.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimSpace(line)
	switch line[0] {
	case '-':
		return "", errors.New(line[1:])
	case '$':
		size, err := strconv.Atoi(line[1:])
		if err != nil || size < 0 {
			return "", err
		}
		text := make([]byte, size+len("\r\n"))
		_, err = io.ReadFull(reader, text)
		return string(text[:size]), err
	case '*':
		size, err := strconv.Atoi(line[1:])
		var items []string
		for range size {
			item, err := readAnswer(reader)
			if err != nil {
				return "", err
			}
			items = append(items, item)
		}
		return strings.Join(items, "\n"), err
	default:
		return line[1:], nil
	}
}

// port is the argument of a process of Redis.
func port(p *process) string {
	for i, a := range p.command {
		if a == "--port" {
			return p.command[i+1]
		}
	}
	return ""
}

// redisBackup copies the files of the master.
func (n *nemesis) redisBackup() error {
	n.world.redis[0].signal(sigStop)
	defer n.world.redis[0].signal(sigContinue)
	n.backup = time.Now()
	return copyDir(n.world.path("redis.d"), n.world.path("redis.old"))
}

// redisRestart kills the master and starts it with what it had, with nothing, or with
// old files.
func (n *nemesis) redisRestart(with string) error {
	p := n.world.redis[0]
	if err := p.end(syscall.SIGKILL); err != nil {
		return err
	}
	at := time.Now()
	switch with {
	case "kept":
		n.world.weather.Lost() // which the service cannot know better
	case "emptied":
		n.forgot(loss{what: with, at: at})
		if err := os.RemoveAll(n.world.path("redis.d")); err != nil {
			return err
		}
		if err := os.MkdirAll(n.world.path("redis.d"), 0o700); err != nil {
			return err
		}
	case "old":
		n.forgot(loss{what: with, at: at})
		if err := os.RemoveAll(n.world.path("redis.d")); err != nil {
			return err
		}
		if err := copyDir(n.world.path("redis.old"), n.world.path("redis.d")); err != nil {
			return err
		}
	}
	time.Sleep(n.upTo(time.Second))
	if err := p.start(); err != nil {
		return err
	}
	defer n.world.weather.Lost()
	return p.await(ready)
}

// redisFailback makes the master a replica of its replica, which lacks the last writes,
// and a master again.
func (n *nemesis) redisFailback() error {
	master, replica := n.world.redis[0], n.world.redis[1]
	replica.signal(sigStop)
	time.Sleep(100*time.Millisecond + n.upTo(400*time.Millisecond))
	masterSocket, replicaSocket := n.world.path("redis"), n.world.path("redis-replica")
	if _, err := redis(masterSocket, "CLIENT", "KILL", "TYPE", "replica"); err != nil && !strings.Contains(err.Error(), "No such client") {
		return err
	}
	replica.signal(sigContinue)
	if _, err := redis(replicaSocket, "REPLICAOF", "NO", "ONE"); err != nil {
		return err
	}
	if _, err := redis(masterSocket, "REPLICAOF", host(), port(replica)); err != nil {
		return err
	}
	if err := synced(masterSocket); err != nil {
		return err
	}
	if _, err := redis(masterSocket, "REPLICAOF", "NO", "ONE"); err != nil {
		return err
	}
	n.forgot(loss{what: "failback", at: time.Now()})
	_, err := redis(replicaSocket, "REPLICAOF", host(), port(master))
	return err
}

func synced(socket string) error {
	end := time.Now().Add(ready)
	for {
		text, err := redis(socket, "INFO", "replication")
		if err == nil && strings.Contains(text, "master_link_status:up") {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("the replica does not catch up: %w", err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// redisEvicts lets the master throw away what it has, for a moment.
func (n *nemesis) redisEvicts() error {
	socket := n.world.path("redis")
	for _, words := range [][]string{
		{"CONFIG", "SET", "maxmemory-policy", "allkeys-random"},
		{"CONFIG", "SET", "maxmemory", "1500kb"},
	} {
		if _, err := redis(socket, words...); err != nil {
			return err
		}
	}
	time.Sleep(50*time.Millisecond + n.upTo(500*time.Millisecond))
	for _, words := range [][]string{
		{"CONFIG", "SET", "maxmemory", "0"},
		{"CONFIG", "SET", "maxmemory-policy", "noeviction"},
	} {
		if _, err := redis(socket, words...); err != nil {
			return err
		}
	}
	n.forgot(loss{what: "evicted", at: time.Now()})
	return nil
}

// redisSlow lets all commands wait, again and again.
func (n *nemesis) redisSlow(socket string) error {
	for range 3 + n.random.IntN(8) {
		ms := 20 + n.random.IntN(300)
		if _, err := redis(socket, "CLIENT", "PAUSE", strconv.Itoa(ms), "ALL"); err != nil {
			return err
		}
		time.Sleep(time.Duration(ms)*time.Millisecond + n.upTo(100*time.Millisecond))
	}
	return nil
}
