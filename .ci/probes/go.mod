module github.com/hookbastion/hookbastion

go 1.26
